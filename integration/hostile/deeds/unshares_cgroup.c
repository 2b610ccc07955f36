/* Leaves for another namespace (CLONE_NEWCGROUP). */
#include "deed.h"

DEED { syscall(SYS_unshare, CLONE_NEWCGROUP); }
