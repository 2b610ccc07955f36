/* Takes memory from node 0 only. */
#include "deed.h"

DEED {
    unsigned long nodes = 1;
    syscall(SYS_set_mempolicy, 2, &nodes, 64);
}
