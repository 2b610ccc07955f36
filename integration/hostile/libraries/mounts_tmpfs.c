/* Mounts a tmpfs where the container will have its /home. */
#include "library.h"

ON_LOAD {
    char path[PATH_MAX];
    ssize_t size = readlink(SCENE "/place", path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    mount("none", path, "tmpfs", 0, NULL);
}
