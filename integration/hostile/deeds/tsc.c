/* Lets every reading of the time stamp counter end the process. */
#include "deed.h"

DEED {
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}
