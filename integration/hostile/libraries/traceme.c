/* Has its parent trace it: it stops at the next execve. */
#include "library.h"

ON_LOAD {
    syscall(SYS_ptrace, 0, 0, 0, 0); /* PTRACE_TRACEME */
}
