/* Lets every reading of the time stamp counter end the process. */
#include "library.h"

ON_LOAD {
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}
