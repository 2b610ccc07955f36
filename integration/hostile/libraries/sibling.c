/* A child that is its parent's (CLONE_PARENT) goes on, and raises the process's nice value. */
#include "library.h"
#include <sys/resource.h>

ON_LOAD {
    pid_t first = getpid();
    if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
        for (int i = 0; i < 400; i++) {
            usleep(500);
            setpriority(PRIO_PROCESS, (id_t)first, 6);
        }
        _exit(0);
    }
}
