/* Locks all memory, that to come as well. */
#include "deed.h"

DEED {
    mlockall(MCL_CURRENT | MCL_FUTURE);
}
