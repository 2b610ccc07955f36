/* Leaves for another namespace (CLONE_NEWPID). */
#include "deed.h"

DEED { syscall(SYS_unshare, CLONE_NEWPID); }
