/* Takes the memory limits away, swap first: neither may be below the other. */
#include "library.h"

ON_LOAD {
    put_cgroup("memory", "memory.memsw.limit_in_bytes", "-1");
    put_cgroup("memory", "memory.limit_in_bytes", "-1");
    put_cgroup("unified", "memory.max", "max");
}
