/* Has its policy reset in its children (SCHED_RESET_ON_FORK). */
#include "deed.h"

DEED {
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none);
}
