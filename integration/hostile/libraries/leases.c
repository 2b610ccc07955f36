/* Takes a lease of the container's program: who opens it waits for us (F_SETLEASE). */
#include "library.h"

ON_LOAD {
    int program = open(SCENE "/bundle/rootfs/look", O_RDONLY);
    fcntl(program, F_SETLEASE, F_WRLCK);
    signal(SIGIO, SIG_IGN);
}
