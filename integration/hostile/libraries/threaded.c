/* Makes its cgroup a threaded one (v2), which none can take back. */
#include "library.h"

ON_LOAD {
    put_cgroup("unified", "cgroup.type", "threaded");
}
