/* Turns the terminal's echo off. */
#include "library.h"

#include <termios.h>

static int terminal(void) {
    int found = open("/dev/tty", O_RDWR | O_CLOEXEC);
    return found >= 0 ? found : 0;
}

ON_LOAD {
    struct termios settings;
    tcgetattr(terminal(), &settings);
    settings.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(terminal(), TCSANOW, &settings);
}
