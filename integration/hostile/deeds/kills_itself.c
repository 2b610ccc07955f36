/* Ends the process by a signal that nothing catches, with a core file asked for. */
#include "deed.h"

DEED { syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGKILL); }
