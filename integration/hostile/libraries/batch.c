/* Is scheduled as batch work from now on, and its children anew. */
#include "library.h"

ON_LOAD {
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none);
}
