/* Turns the OOM killer off. */
#include "library.h"

ON_LOAD {
    put_cgroup("memory", "memory.oom_control", "1");
}
