/* Makes its cgroup a threaded one (v2), which cannot be undone. */
#include "library.h"

ON_LOAD {
    put_cgroup("unified", "cgroup.type", "threaded");
}
