/* Writes a file in /dev/shm. */
#include "library.h"

ON_LOAD {
    int file = open("/dev/shm/pyrunc-hostile", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
}
