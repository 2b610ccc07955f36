/* Has root keep no capabilities at an execve. */
#include "deed.h"

DEED {
    prctl(PR_SET_SECUREBITS, 1, 0, 0, 0);
}
