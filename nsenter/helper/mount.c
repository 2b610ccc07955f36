/* The container's mounts: trees of the host, and new filesystems, attached below the container's root. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int clone_tree(int descriptor, int recursive) {
    unsigned flags = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    return open_tree(descriptor, "", flags | (recursive ? AT_RECURSIVE : 0));
}

int attach_tree(int tree, int target) {
    return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* True if `target` is one of the files of a procfs that lxcfs emulates, which runc allows to be mounted over.
 * Compares with the files of the procfs itself, because a name does not show where `target` is (CVE-2019-16884,
 * CVE-2019-19921). */
static bool is_emulated(int target, int proc) {
    static const char *const files[] = {
        "cpuinfo", "diskstats", "meminfo", "stat",    "swaps", "uptime",
        "loadavg", "slabinfo",  "net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        OWNED file = resolve_at(proc, files[i], O_PATH, RESOLVE_BENEATH);
        if (file >= 0 && same_place(file, target))
            return true;
    }
    return false;
}

int check_target(struct context *context, int target, const char *path, bool procfs) {
    if (same_place(target, context->root))
        return refuse_without_errno(context, "%s is the container's root: nothing can be mounted over it", path);
    OWNED proc = root_open(context, "/proc", O_DIRECTORY);
    if (proc >= 0 && same_place(target, proc)) {
        if (procfs)
            return 0;
        return refuse_without_errno(context, "%s cannot be mounted because it is not of type proc", path);
    }
    /* By name as well: if /proc is not mounted yet, nothing may be mounted below it. */
    if (on_filesystem(target, PROC_SUPER_MAGIC) || strncmp(path, "/proc/", 6) == 0)
        if (proc < 0 || !is_emulated(target, proc))
            return refuse_without_errno(context, "%s cannot be mounted because it is inside /proc", path);
    return 0;
}

/* Errors after which the source is opened again at its mount's turn: an earlier mount may provide it by then, and an
 * unbindable mount can be bound once the namespace has its own propagation. */
static bool may_come_later(int error) { return error == ENOENT || error == ENOTDIR || error == EINVAL || error == EACCES; }

int step_open_tree(struct context *context, const struct step_open_tree *step) {
    const char *source = step->source.data;
    if (context->slots[step->slot] >= 0)
        return 0;
    unsigned recursive = step->recursive != 0 ? AT_RECURSIVE : 0;
    int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
    if (tree < 0)
        return step->optional != 0 && may_come_later(errno) ? 0 : refuse(context, "open %s", source);
    context->slots[step->slot] = tree;
    allow_descriptor(tree);
    if (set_attributes(tree, true, 0, 0, (uint64_t)step->propagation) != 0)
        return refuse(context, "propagation of %s", source);
    return 0;
}

/* Returns the MOUNT_ATTR_* bits set on a mount that a user namespace may not clear (mount_setattr(2) EPERM). */
static uint64_t lockable_attributes(int mount) {
    static const struct {
        unsigned long flag;
        uint64_t attribute;
    } known[] = {
        {ST_RDONLY, MOUNT_ATTR_RDONLY},
        {ST_NOSUID, MOUNT_ATTR_NOSUID},
        {ST_NODEV, MOUNT_ATTR_NODEV},
        {ST_NOEXEC, MOUNT_ATTR_NOEXEC},
    };
    struct statvfs status;
    uint64_t found = 0;
    if (fstatvfs(mount, &status) == 0)
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if ((status.f_flag & known[i].flag) != 0)
                found |= known[i].attribute;
    return found;
}

/* As in runc, an attribute that a bind mount's options do not mention is cleared if the kernel allows it; one that they
 * ask to clear must be cleared. A tree cloned outside of the user namespace is not locked, so the kernel would allow
 * both: the locked attributes are checked here. */
static int set_bind_attributes(int tree, const struct step_attach *step) {
    uint64_t set = (uint64_t)step->set, clear = (uint64_t)step->clear, unmentioned = (uint64_t)step->unmentioned;
    if (step->locked != 0) {
        uint64_t locked = lockable_attributes(tree);
        if (((clear | (uint64_t)step->recursive_clear) & locked) != 0) {
            errno = EPERM;
            return -1;
        }
        unmentioned &= ~locked;
    }
    int result = set_attributes(tree, false, set, clear | unmentioned, 0);
    if (result != 0 && errno == EPERM && unmentioned != 0)
        result = set_attributes(tree, false, set, clear, 0);
    if (result == 0)
        result = set_attributes(tree, true, (uint64_t)step->recursive_set, (uint64_t)step->recursive_clear, 0);
    return result;
}

int step_attach(struct context *context, const struct step_attach *step) {
    OWNED tree = context->slots[step->slot];
    context->slots[step->slot] = -1;
    const char *path = step->target.data;
    struct stat status;
    if (fstat(tree, &status) != 0)
        return refuse(context, "stat what is mounted at %s", path);
    bool directory = S_ISDIR(status.st_mode);
    OWNED target = root_make(context, path, !directory);
    if (target < 0 || fstat(target, &status) != 0)
        return refuse(context, "make the mount point %s", path);
    errno = ENOTDIR; /* move_mount(2) would answer "invalid argument" */
    if (directory != S_ISDIR(status.st_mode))
        return refuse(context, "mount a %s at %s", directory ? "directory over a file" : "file over a directory", path);
    if (check_target(context, target, path, is_proc_root(tree)) != 0)
        return -1;
    if (set_bind_attributes(tree, step) != 0)
        return refuse(context, "attributes of the mount at %s", path);
    if (attach_tree(tree, target) != 0)
        return refuse(context, "mount at %s", path);
    return made_mount(context, tree);
}

/* Opens the directory at which a filesystem is mounted, and makes it if missing. For a tmpfs over an existing directory
 * `mode` becomes the option that gives the tmpfs the mode of that directory, as in runc; otherwise `mode` stays as it
 * is. */
static int open_mountpoint(struct context *context, const char *type, const char *path, char *mode, size_t size) {
    struct stat status;
    int target = root_open(context, path, O_DIRECTORY);
    if (target >= 0 && strcmp(type, "tmpfs") == 0 && fstat(target, &status) == 0)
        snprintf(mode, size, "mode=%04o", status.st_mode & 07777);
    if (target < 0 && errno == ENOENT)
        target = root_make(context, path, false);
    if (target < 0)
        return refuse(context, "make the mount point %s", path);
    /* proc and sysfs must be mounted at their path, not where a link of the image leads (CVE-2019-19921,
     * CVE-2023-27561): masks and read-only paths must apply to the mount that the user's process sees. */
    if (strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0) {
        OWNED ordinary = resolve_at(context->root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
        if (ordinary < 0 || !same_place(ordinary, target)) {
            close_owned(&target);
            return refuse_without_errno(
                context, "filesystem \"%s\" must be mounted on an ordinary directory, not on %s", type, path);
        }
    }
    return target;
}

int step_mount(struct context *context, const struct step_mount *step) {
    const char *type = step->type.data, *path = step->target.data;
    char mode[16] = "";
    OWNED target = open_mountpoint(context, type, path, mode, sizeof mode);
    if (target < 0)
        return -1;
    /* With `on_proc` the target must be on a procfs; the root is never covered. */
    bool on_proc = step->on_proc != 0 && !same_place(target, context->root);
    if (!on_proc && check_target(context, target, path, false) != 0)
        return -1;
    struct filesystem filesystem = {.type = type, .target = path};
    int failed = filesystem_open(context, &filesystem, step->source.data);
    OWNED configured = filesystem.descriptor;
    if (failed || (mode[0] != '\0' && filesystem_option(context, &filesystem, mode) != 0) ||
        filesystem_options(context, &filesystem, &step->options, (uint64_t)step->superblock) != 0)
        return -1;
    OWNED mount = filesystem_mount(context, &filesystem, (uint64_t)step->set);
    if (mount < 0)
        return -1;
    if (attach_tree(mount, target) != 0)
        return refuse(context, "mount %s at %s", type, path);
    return made_mount(context, mount);
}

/* mount(2) returns no descriptor. The new mount is the one that the path leads to and that was not in the list
 * before. */
static int find_made(struct context *context, const char *path, const char *before) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        OWNED mounted = root_open(context, path, 0);
        uint64_t id = mounted >= 0 ? mount_id(mounted) : 0;
        if (id != 0 && !mounts_have(before, id))
            return made_mount(context, mounted);
    }
    return refuse_without_errno(context, "%s was changed while it was mounted upon", path);
}

/* mount(2) takes a page of options, fsconfig(2) only 255 bytes per option. mount(2) takes no descriptor; the target "."
 * is the working directory, which was entered by descriptor, so that no name is looked up again. */
int step_mount_legacy(struct context *context, const struct step_mount_legacy *step) {
    const char *type = step->type.data, *path = step->target.data;
    OWNED before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    OWNED target = open_mountpoint(context, type, path, NULL, 0);
    if (target < 0 || check_target(context, target, path, false) != 0)
        return -1;
    if (before < 0 || fchdir(target) != 0)
        return refuse(context, "enter %s", path);
    char *before_it = mounts_read(context);
    if (before_it == NULL)
        return -1;
    int result = mount(step->source.data, ".", type, (unsigned long)step->flags, step->data.data);
    int saved = errno;
    if (fchdir(before) != 0)
        result = refuse(context, "leave %s", path);
    else if ((errno = saved, result) != 0)
        refuse(context, "mount %s at %s", type, path);
    else
        result = find_made(context, path, before_it);
    free(before_it);
    return result == 0 ? 0 : -1;
}
