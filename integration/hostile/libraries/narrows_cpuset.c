/* Lets the cgroup run on one processor, with another class for its packets and less weight for its I/O. */
#include "library.h"

ON_LOAD {
    put_cgroup("cpuset", "cpuset.cpus", "0");
    put_cgroup("cpuset", "cpuset.memory_migrate", "1");
    put_cgroup("cpu", "cpu.shares", "2");
    put_cgroup("net_cls", "net_cls.classid", "1");
    put_cgroup("cpu", "cgroup.clone_children", "1");
    put_cgroup("unified", "cgroup.max.descendants", "0");
}
