/* Takes the foreground of the terminal. */
#include "library.h"

static int terminal(void) {
    int found = open("/dev/tty", O_RDWR | O_CLOEXEC);
    return found >= 0 ? found : 0;
}

ON_LOAD {
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(terminal(), getpgrp());
}
