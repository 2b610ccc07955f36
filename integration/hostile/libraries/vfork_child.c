/* A child in its memory (vfork) changes its parent: limits, nice, the score of the OOM killer. */
#include "library.h"
#include <sys/resource.h>

static void act(pid_t parent) {
    char path[64];
    struct rlimit limit = {55, 55};
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)parent);
    put(path, "555");
    prlimit(parent, RLIMIT_NPROC, &limit, NULL);
    setpriority(PRIO_PROCESS, (id_t)parent, 5);
}

ON_LOAD {
    pid_t parent = getpid(), child = vfork();
    if (child == 0) {
        act(parent);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}
