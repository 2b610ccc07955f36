/* The container's root: attached in the container's mount namespace, and made the root directory of init. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int propagate(struct context *context, uint64_t flags) {
    if (mount(NULL, "/", NULL, (unsigned long)flags, NULL) != 0)
        return refuse(context, "propagation of /");
    return 0;
}

int step_propagation(struct context *context, const struct step_propagation *step) {
    return propagate(context, (uint64_t)step->flags);
}

int step_root_propagation(struct context *context, const struct step_root_propagation *step) {
    return propagate(context, (uint64_t)step->flags);
}

/* Opens a directory of the host that becomes a root. The last name must not be a link: the path that the caller gives
 * must be the container's root itself. */
static int open_root(struct context *context, const char *path) {
    char plain[PATH_MAX]; /* with a trailing slash the kernel would follow a link */
    struct stat status;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    snprintf(plain, sizeof plain, "%.*s", (int)length, path);
    int root = open(plain, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0 || fstat(root, &status) != 0)
        return refuse(context, "%s", path);
    if (S_ISDIR(status.st_mode))
        return root;
    close(root);
    const char *what = S_ISLNK(status.st_mode) ? "a symbolic link" : "not a directory";
    return refuse_without_errno(context, "%s is %s", path, what);
}

int propagate_mount_of(int place, uint64_t propagation) {
    struct statx status;
    while (place >= 0 && statx(place, "", AT_EMPTY_PATH, STATX_INO, &status) == 0 &&
           (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
        OWNED below = place;
        place = openat(below, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (place >= 0 && same_place(place, below)) /* "/" of a chroot that is not the root of a mount */
            break;
    }
    OWNED top = place;
    return top < 0 ? -1 : set_attributes(top, false, 0, 0, propagation);
}

/* False if the container's root user may not search a directory above the root, such as a home of mode 0700. Then the
 * tree, which was opened before, is attached over "/", where pivot_root(2) works as well. */
static bool may_walk_to(const char *path) {
    return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0 || errno != EACCES;
}

/* For a container without a mount namespace: attaches the root over its own directory, among the host's mounts. The
 * mount is private, so that it is propagated to no other place. */
int step_host_root(struct context *context, const struct step_host_root *step) {
    const char *path = step->path.data;
    int tree = context->slots[step->slot];
    OWNED target = open_root(context, path);
    OWNED host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (target < 0)
        return -1;
    if (host < 0 || same_place(target, host))
        return refuse_without_errno(context, "%s is the host's root: it needs a mount namespace", path);
    if (set_attributes(tree, false, 0, (uint64_t)step->clear, 0) != 0 && errno != EPERM)
        return refuse(context, "attributes of the container's root");
    if (attach_tree(tree, target) != 0 || set_attributes(tree, false, 0, 0, MS_PRIVATE) != 0)
        return refuse(context, "mount %s as the container's root", path);
    context->slots[step->slot] = -1;
    context->root = tree;
    return 0;
}

int step_root(struct context *context, const struct step_root *step) {
    const char *path = step->path.data;
    int tree = context->slots[step->slot];
    OWNED target = open_root(context, may_walk_to(path) ? path : "/");
    if (target < 0)
        return -1;
    /* The mount below the root must not be shared: pivot_root(2) requires that, and the host must not see the
     * container's mounts. By the descriptor of the directory, because its name may lead elsewhere by now. */
    if (propagate_mount_of(fcntl(target, F_DUPFD_CLOEXEC, 3), MS_PRIVATE) != 0)
        return refuse(context, "make the mount of %s private", path);
    /* A noexec mount of the host must be executable for the container, so the flags in `clear` are removed. Flags that
     * another user namespace set are locked (mount_setattr(2), EPERM), and stay. */
    if (set_attributes(tree, false, 0, (uint64_t)step->clear, 0) != 0 && errno != EPERM)
        return refuse(context, "attributes of the container's root");
    /* Never in the host's peer group: pivot_root(2) refuses that, and the container's mounts would appear on the
     * host. */
    if (set_attributes(tree, false, 0, 0, MS_PRIVATE) != 0 || attach_tree(tree, target) != 0)
        return refuse(context, "mount %s as the container's root", path);
    context->slots[step->slot] = -1;
    context->root = tree;
    return 0;
}

int step_pivot(struct context *context) {
    OWNED old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0 || fchdir(context->root) != 0)
        return refuse(context, "enter the container's root");
    /* The old root is stacked over the new one, so no directory is needed for it (pivot_root(2), NOTES). */
    if (syscall(SYS_pivot_root, ".", ".") != 0)
        return refuse(context, "pivot_root");
    /* Slave, not private: the unmount below must not propagate to the host, but an unmount on the host must still
     * propagate to this namespace. */
    if (fchdir(old) != 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) != 0)
        return refuse(context, "make the old root a slave");
    if (umount2(".", MNT_DETACH) != 0)
        return refuse(context, "unmount the old root");
    return chdir("/") == 0 ? 0 : refuse(context, "chdir /");
}

static int change_root(struct context *context, int root) {
    if (fchdir(root) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return refuse(context, "chroot");
    return 0;
}

int step_move_root(struct context *context) {
    if (hide_proc_and_sys(context) != 0)
        return -1;
    /* With a shared root propagation this would cover the host's own root as well. */
    if (propagate_mount_of(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), MS_SLAVE) != 0)
        return refuse(context, "make the old root a slave");
    if (move_mount(context->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return refuse(context, "move the container's root to /");
    return change_root(context, context->root);
}

int step_chroot(struct context *context, const struct step_chroot *step) {
    int root = open_root(context, step->path.data);
    if (root < 0)
        return -1;
    close_owned(&context->root);
    context->root = root;
    return change_root(context, root);
}

/* For `exec` in a container without a mount namespace: enters the root of its init. The runtime passes the descriptor,
 * because /proc/PID/root is a magic link, which the helper never follows. */
int step_enter_root(struct context *context) {
    close_owned(&context->root);
    context->root = fcntl(context->slots[SLOT_ROOT], F_DUPFD_CLOEXEC, 0);
    if (context->root < 0)
        return refuse(context, "take the container's root");
    return change_root(context, context->root);
}

int step_root_read_only(struct context *context) {
    if (set_attributes(context->root, false, MOUNT_ATTR_RDONLY, 0, 0) != 0)
        return refuse(context, "make the root read-only");
    return 0;
}
