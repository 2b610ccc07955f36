/* Leaves for another namespace (CLONE_NEWNET). */
#include "library.h"

ON_LOAD { syscall(SYS_unshare, CLONE_NEWNET); }
