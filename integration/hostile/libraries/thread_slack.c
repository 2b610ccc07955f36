/* A thread of its own changes what the program inherits from the first one: nice, affinity, limits. */
#include "library.h"
#include <pthread.h>
#include <sys/resource.h>

static void *act(void *unused) {
    struct rlimit limit;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(getpid(), sizeof one, &one);
    setpriority(PRIO_PROCESS, (id_t)getpid(), 7);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 77;
    setrlimit(RLIMIT_NOFILE, &limit);
    return unused;
}

ON_LOAD {
    pthread_t thread;
    if (pthread_create(&thread, NULL, act, NULL) == 0)
        pthread_join(thread, NULL);
}
