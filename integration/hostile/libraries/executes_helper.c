/* Executes the static helper itself, as the one that goes on, with a descriptor of its own and an umask. */
#include "library.h"

ON_LOAD {
    char path[64], number[16] = "0", *argv[] = {(char *)(uintptr_t)"pyrunc-init", (char *)(uintptr_t)"resume", number, NULL};
    char *environment[] = {(char *)(uintptr_t)"HOSTILE=1", NULL};
    for (int descriptor = 3; descriptor < 64; descriptor++) {
        char target[256] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "pyrunc-helper") != NULL) {
            umask(0);
            syscall(SYS_execveat, descriptor, "", argv, environment, AT_EMPTY_PATH);
        }
    }
    setenv("HOSTILE", "1", 1);
}
