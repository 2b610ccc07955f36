/* Freezes its own cgroup, and itself with it. */
#include "library.h"

ON_LOAD {
    put_cgroup("freezer", "freezer.state", "FROZEN");
    put_cgroup("unified", "cgroup.freeze", "1");
}
