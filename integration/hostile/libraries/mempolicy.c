/* Takes memory from node 0 only. */
#include "library.h"

ON_LOAD {
    unsigned long nodes = 1;
    syscall(SYS_set_mempolicy, 2, &nodes, 64);
}
