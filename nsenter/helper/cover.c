/* Paths of the container that are hidden or made read-only by a mount over them. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Clones the container's /dev/null. Not the host's, because the container's root may change the mode of the file that
 * covers another. It must be the device: if the image has a symbolic link there, a file of the host's /proc would be
 * mounted writable (CVE-2025-31133). */
static int clone_null(struct context *context) {
    OWNED null = root_open(context, "/dev/null", O_NOFOLLOW);
    if (null < 0)
        return refuse(context, "open /dev/null");
    if (!is_device(null, 1, 3))
        return refuse_without_errno(context, "/dev/null is not the null device");
    int tree = clone_tree(null, false);
    return tree >= 0 ? tree : refuse(context, "clone /dev/null");
}

/* Returns an empty read-only directory. The first mask makes it; every further mask is a clone, for which the first
 * must be attached already (before Linux 6.15 a detached mount cannot be cloned). */
static int clone_empty(struct context *context, const char *path, const char *option) {
    static int empty = -1;
    if (empty >= 0) {
        int tree = clone_tree(empty, false);
        return tree >= 0 ? tree : refuse(context, "clone an empty directory");
    }
    struct filesystem filesystem = {.type = "tmpfs", .target = path};
    int failed = filesystem_open(context, &filesystem, "tmpfs");
    OWNED configured = filesystem.descriptor;
    if (failed || (option[0] != '\0' && filesystem_option(context, &filesystem, option) != 0) ||
        filesystem_option(context, &filesystem, "ro") != 0)
        return -1;
    empty = filesystem_mount(context, &filesystem, MOUNT_ATTR_RDONLY);
    return empty < 0 ? -1 : fcntl(empty, F_DUPFD_CLOEXEC, 3);
}

/* Opens the path to cover. -1 with errno 0 if the path does not exist and so needs no cover. */
static int open_covered(struct context *context, const char *path) {
    int target = root_open(context, path, 0);
    if (target < 0 && errno != ENOENT && errno != ENOTDIR)
        refuse(context, "open %s", path);
    else if (target < 0)
        errno = 0;
    return target;
}

int step_mask(struct context *context, const struct step_mask *step) {
    const char *path = step->path.data;
    struct stat status;
    OWNED target = open_covered(context, path);
    if (target < 0)
        return errno == 0 ? 0 : -1;
    if (fstat(target, &status) != 0)
        return refuse(context, "stat %s", path);
    if (same_place(target, context->root))
        return refuse_without_errno(context, "%s is the container's root, which cannot be masked", path);
    OWNED cover = S_ISDIR(status.st_mode) ? clone_empty(context, path, step->options.data) : clone_null(context);
    if (cover < 0)
        return -1;
    return attach_tree(cover, target) == 0 ? 0 : refuse(context, "mask %s", path);
}

int step_read_only(struct context *context, const struct step_read_only *step) {
    const char *path = step->path.data;
    OWNED target = open_covered(context, path);
    if (target < 0)
        return errno == 0 ? 0 : -1;
    if (same_place(target, context->root)) { /* the user's process would not see a mount over the root */
        if (set_attributes(context->root, false, MOUNT_ATTR_RDONLY, 0, 0) != 0)
            return refuse(context, "make the root read-only");
        return 0;
    }
    /* Sets the flag and clears none: in a user namespace the other attributes of the host's mounts are locked. */
    OWNED tree = clone_tree(target, true);
    if (tree < 0 || set_attributes(tree, true, MOUNT_ATTR_RDONLY, 0, 0) != 0 || attach_tree(tree, target) != 0)
        return refuse(context, "make %s read-only", path);
    return 0;
}
