/* Takes the limit of processes away. */
#include "library.h"

ON_LOAD {
    put_cgroup("pids", "pids.max", "max");
    put_cgroup("unified", "pids.max", "max");
}
