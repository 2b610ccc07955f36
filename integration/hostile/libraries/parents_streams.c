/* Takes its parent's standard streams (pidfd_getfd) and sets O_NONBLOCK on them. */
#include "library.h"

ON_LOAD {
    int parent = (int)syscall(434, getppid(), 0); /* pidfd_open */
    for (int stream = 0; stream < 3; stream++) {
        int taken = (int)syscall(438, parent, stream, 0); /* pidfd_getfd */
        if (taken >= 0) {
            fcntl(taken, F_SETFL, fcntl(taken, F_GETFL) | O_NONBLOCK);
            close(taken);
        }
    }
    close(parent);
}
