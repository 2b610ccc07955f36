/* Makes a System V shared memory segment, which stays. */
#include "deed.h"

#include <sys/shm.h>

DEED {
    shmget(0x70797263, 4096, IPC_CREAT | 0600);
}
