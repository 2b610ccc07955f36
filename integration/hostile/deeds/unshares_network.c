/* Leaves for another namespace (CLONE_NEWNET). */
#include "deed.h"

DEED { syscall(SYS_unshare, CLONE_NEWNET); }
