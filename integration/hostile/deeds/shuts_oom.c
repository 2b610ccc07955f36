/* Turns the OOM killer off. */
#include "deed.h"

DEED {
    put_cgroup("memory", "memory.oom_control", "1");
}
