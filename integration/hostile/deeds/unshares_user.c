/* Leaves for another namespace (CLONE_NEWUSER). */
#include "deed.h"

DEED { syscall(SYS_unshare, CLONE_NEWUSER); }
