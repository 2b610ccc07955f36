/* Binds /etc of the host over what will be /home of the container. */
#include "library.h"

ON_LOAD {
    char path[PATH_MAX];
    ssize_t size = readlink(SCENE "/place", path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    mount("/etc", path, NULL, MS_BIND | MS_REC, NULL);
}
