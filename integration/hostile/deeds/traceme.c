/* Has its parent trace it: it stops at the next execve. */
#include "deed.h"

DEED {
    syscall(SYS_ptrace, 0, 0, 0, 0); /* PTRACE_TRACEME */
}
