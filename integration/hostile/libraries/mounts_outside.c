/* A child goes to the mount namespace of pyrunc, and mounts a tmpfs where the container will have its /home. */
#include "library.h"

ON_LOAD {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)getppid());
    pid_t child = fork();
    if (child == 0) {
        int space = open(path, O_RDONLY | O_CLOEXEC);
        if (setns(space, CLONE_NEWNS) == 0)
            mount("tmpfs", SCENE "/place", "tmpfs", 0, NULL);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}
