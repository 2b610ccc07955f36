/* Its own execve(2) adds to the environment. */
#include "library.h"

int execve(const char *path, char *const *argv, char *const *env) {
    static char *longer[256] = {(char *)"HOSTILE=1"};
    for (int i = 0; i < 254 && env[i] != NULL; i++)
        longer[i + 1] = env[i];
    return (int)syscall(SYS_execve, path, argv, longer);
}
