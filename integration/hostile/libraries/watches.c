/* Has each opening of the container's program wait for an answer of ours (fanotify), which never comes. */
#include "library.h"
#include <sys/fanotify.h>

ON_LOAD {
    int group = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
    fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM, AT_FDCWD, SCENE "/bundle/rootfs/look");
}
