/* Makes System V semaphores, which stay. */
#include "library.h"

#include <sys/sem.h>

ON_LOAD {
    semget(0x70797263, 1, IPC_CREAT | 0600);
}
