/* Has the standard streams not block, and append. */
#include "deed.h"

DEED {
    for (int i = 0; i < 3; i++)
        fcntl(i, F_SETFL, O_NONBLOCK | O_APPEND);
}
