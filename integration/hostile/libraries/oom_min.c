/* Lowers the OOM score and raises it again: what it may be lowered to later stays. */
#include "library.h"

ON_LOAD {
    put("/proc/self/oom_score_adj", "-500");
    put("/proc/self/oom_score_adj", "0");
}
