/* A child that shares its working directory and umask (CLONE_FS) changes both when loading is over. */
#include "library.h"

static char stack[65536];

static int act(void *unused) {
    for (int i = 0; i < 400; i++) {
        usleep(500);
        umask(0777);
        (void)!chdir("/tmp");
    }
    return unused != NULL;
}

ON_LOAD { clone(act, stack + sizeof stack, CLONE_FS | CLONE_VM | SIGCHLD, NULL); }
