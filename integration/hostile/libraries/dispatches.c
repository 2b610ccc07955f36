/* Has its own system calls sent back to it as signals (PR_SET_SYSCALL_USER_DISPATCH, Linux 5.11). */
#include "library.h"

static char blocked;

static void ignore(int number) {
    (void)number;
    blocked = 0;
}

ON_LOAD {
    struct sigaction action = {.sa_handler = ignore};
    sigaction(SIGSYS, &action, NULL);
    prctl(59, 1, 0L, 0L, &blocked);
    blocked = 1;
}
