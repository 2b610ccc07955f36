/* Runs on one processor only. */
#include "library.h"

ON_LOAD {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
}
