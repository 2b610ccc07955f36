/* Has the standard streams not block, and append. */
#include "library.h"

ON_LOAD {
    for (int i = 0; i < 3; i++)
        fcntl(i, F_SETFL, O_NONBLOCK | O_APPEND);
}
