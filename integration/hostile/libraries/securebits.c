/* Has root keep no capabilities at an execve. */
#include "library.h"

ON_LOAD {
    prctl(PR_SET_SECUREBITS, 1, 0, 0, 0);
}
