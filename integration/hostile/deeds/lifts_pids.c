/* Takes the limit of processes away. */
#include "deed.h"

DEED {
    put_cgroup("pids", "pids.max", "max");
    put_cgroup("unified", "pids.max", "max");
}
