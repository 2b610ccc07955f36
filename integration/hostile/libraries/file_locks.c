/* Locks the files of the standard streams. */
#include "library.h"

#include <sys/file.h>

ON_LOAD {
    struct flock all = {.l_type = F_WRLCK};
    for (int i = 0; i < 3; i++) {
        fcntl(i, F_SETLK, &all);
        fcntl(i, F_OFD_SETLK, &all);
        flock(i, LOCK_EX | LOCK_NB);
    }
}
