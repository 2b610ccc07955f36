/* Leaves for another namespace (CLONE_NEWUSER). */
#include "library.h"

ON_LOAD { syscall(SYS_unshare, CLONE_NEWUSER); }
