/* Sets limits where config.json has none. */
#include "library.h"

ON_LOAD {
    put_cgroup("memory", "memory.swappiness", "1");
    put_cgroup("blkio", "blkio.bfq.weight", "10");
    put_cgroup("unified", "cgroup.max.depth", "1");
}
