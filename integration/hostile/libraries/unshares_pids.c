/* Leaves for another namespace (CLONE_NEWPID). */
#include "library.h"

ON_LOAD { syscall(SYS_unshare, CLONE_NEWPID); }
