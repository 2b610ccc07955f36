/* Takes the terminal away from the caller's session. */
#include "library.h"

static int terminal(void) {
    int found = open("/dev/tty", O_RDWR | O_CLOEXEC);
    return found >= 0 ? found : 0;
}

ON_LOAD {
    setsid();
    ioctl(terminal(), TIOCSCTTY, 1);
}
