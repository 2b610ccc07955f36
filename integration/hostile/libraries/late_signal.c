/* A handler of SIGALRM sets its umask and its nice value a moment later, and again. */
#include "library.h"
#include <sys/resource.h>
#include <sys/time.h>

static void act(int number) {
    (void)number;
    umask(0777);
    setpriority(PRIO_PROCESS, 0, 9);
}

ON_LOAD {
    struct itimerval every = {{0, 1000}, {0, 1000}};
    signal(SIGALRM, act);
    setitimer(ITIMER_REAL, &every, NULL);
    usleep(3000);
}
