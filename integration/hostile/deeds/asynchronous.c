/* Has itself signalled when the standard streams can be read. */
#include "deed.h"

DEED {
    for (int i = 0; i < 3; i++) {
        fcntl(i, F_SETSIG, SIGUSR2);
        fcntl(i, F_SETOWN, 1);
        fcntl(i, F_SETFL, O_ASYNC);
    }
}
