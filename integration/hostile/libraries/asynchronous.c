/* Has itself signalled when the standard streams can be read. */
#include "library.h"

ON_LOAD {
    for (int i = 0; i < 3; i++) {
        fcntl(i, F_SETSIG, SIGUSR2);
        fcntl(i, F_SETOWN, 1);
        fcntl(i, F_SETFL, O_ASYNC);
    }
}
