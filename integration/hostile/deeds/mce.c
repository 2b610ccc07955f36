/* Asks for an early end at memory faults. */
#include "deed.h"

DEED {
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}
