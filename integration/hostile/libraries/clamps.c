/* Clamps its utilisation, and its children's (sched_setattr). */
#include "library.h"

ON_LOAD {
    uint32_t attributes[14] = {56};
    syscall(SYS_sched_getattr, 0, attributes, sizeof attributes, 0);
    *(uint64_t *)(void *)(attributes + 2) |= 0x20 | 0x40; /* SCHED_FLAG_UTIL_CLAMP_MIN, _MAX */
    attributes[12] = 100;
    attributes[13] = 200;
    attributes[0] = 56;
    syscall(SYS_sched_setattr, 0, attributes, 0);
}
