/* Has a child of its own trace it. */
#include "library.h"

ON_LOAD {
    int ready[2];
    char byte;
    (void)!pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_ptrace, 0x4206, getppid(), 0, 0); /* PTRACE_SEIZE */
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    close(ready[1]);
}
