/* Sets O_NONBLOCK on copies of the standard streams: the open files are the same. */
#include "library.h"

ON_LOAD {
    for (int stream = 0; stream < 3; stream++) {
        int copy = fcntl(stream, F_DUPFD_CLOEXEC, 30);
        fcntl(copy, F_SETFL, O_NONBLOCK | O_APPEND);
        close(copy);
    }
}
