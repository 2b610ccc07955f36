/* Makes the pipes of the standard streams larger. */
#include "library.h"

ON_LOAD {
    for (int i = 0; i < 3; i++)
        fcntl(i, F_SETPIPE_SZ, 1 << 18);
}
