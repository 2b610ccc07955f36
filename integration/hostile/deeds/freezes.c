/* Freezes its own cgroup, and itself with it. */
#include "deed.h"

DEED {
    put_cgroup("freezer", "freezer.state", "FROZEN");
    put_cgroup("unified", "cgroup.freeze", "1");
}
