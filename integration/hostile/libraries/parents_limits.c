/* Sets limits and the nice value of its parent. */
#include "library.h"
#include <sys/resource.h>

ON_LOAD {
    struct rlimit limit = {0, 0};
    prlimit(getppid(), RLIMIT_CORE, &limit, NULL);
    setpriority(PRIO_PROCESS, (id_t)getppid(), 3);
}
