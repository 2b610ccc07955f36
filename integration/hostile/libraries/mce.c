/* Asks for an early end at memory faults. */
#include "library.h"

ON_LOAD {
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}
