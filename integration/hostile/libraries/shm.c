/* Makes a System V shared memory segment, which stays. */
#include "library.h"

#include <sys/shm.h>

ON_LOAD {
    shmget(0x70797263, 4096, IPC_CREAT | 0600);
}
