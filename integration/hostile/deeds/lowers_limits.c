/* Sets limits where config.json has none. */
#include "deed.h"

DEED {
    put_cgroup("memory", "memory.swappiness", "1");
    put_cgroup("blkio", "blkio.bfq.weight", "10");
    put_cgroup("unified", "cgroup.max.depth", "1");
}
