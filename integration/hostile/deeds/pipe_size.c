/* Makes the pipes of the standard streams larger. */
#include "deed.h"

DEED {
    for (int i = 0; i < 3; i++)
        fcntl(i, F_SETPIPE_SZ, 1 << 18);
}
