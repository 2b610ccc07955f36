/* Locks all memory, that to come as well. */
#include "library.h"

ON_LOAD {
    mlockall(MCL_CURRENT | MCL_FUTURE);
}
