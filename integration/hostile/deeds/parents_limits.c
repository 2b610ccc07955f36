/* Sets limits and the nice value of its parent. */
#include "deed.h"
#include <sys/resource.h>

DEED {
    struct rlimit limit = {0, 0};
    prlimit(getppid(), RLIMIT_CORE, &limit, NULL);
    setpriority(PRIO_PROCESS, (id_t)getppid(), 3);
}
