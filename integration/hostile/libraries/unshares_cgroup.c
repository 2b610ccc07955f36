/* Leaves for another namespace (CLONE_NEWCGROUP). */
#include "library.h"

ON_LOAD { syscall(SYS_unshare, CLONE_NEWCGROUP); }
