/* Takes the quota of processor time away, and raises the shares. */
#include "library.h"

ON_LOAD {
    put_cgroup("cpu", "cpu.cfs_quota_us", "-1");
    put_cgroup("cpu", "cpu.shares", "200000");
    put_cgroup("unified", "cpu.max", "max");
}
