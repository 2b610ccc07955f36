/* Changes cwd, umask, rlimits, signal mask, nice and oom score. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void) {
    struct rlimit limit;
    sigset_t all;
    (void)!chdir("/tmp");
    umask(0);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGTERM, SIG_IGN);
    setpriority(PRIO_PROCESS, 0, 7);
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, "777", 3);
        close(file);
    }
}
