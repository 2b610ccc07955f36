/* A child that is forked, daemonized, and stays. */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            for (;;)
                pause();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}
