/* A tmpfs that starts with a copy of the image's files at its mount point (runc's mount option tmpcopyup). */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH = 128 /* nested directories: each level takes two descriptors and stack space */ };

/* Copies the extended attributes that the tmpfs accepts, which depends on kernel and privileges. Failures are ignored:
 * the image works without them. */
static void copy_xattrs(int from, int to) {
    char names[1024], value[1024];
    ssize_t listed = flistxattr(from, names, sizeof names);
    for (char *name = names; listed > 0 && name < names + listed; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, sizeof value);
        if (size >= 0)
            fsetxattr(to, name, value, (size_t)size, 0);
    }
}

/* Copies owner, mode (after the owner, because chown(2) clears bits of it), attributes and times. */
static int finish(int from, int to, const struct stat *status) {
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    /* EINVAL: the owner has no id in this user namespace. */
    if (fchown(to, status->st_uid, status->st_gid) != 0 && errno != EINVAL)
        return -1;
    if (fchmod(to, status->st_mode & 07777) != 0)
        return -1;
    copy_xattrs(from, to);
    return futimens(to, times);
}

static int copy_file(int from, int to, const char *name) {
    struct stat status;
    /* O_NONBLOCK: the name may have become a FIFO meanwhile. A device is refused below: reading it may not end. */
    OWNED source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    OWNED copy = source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (copy < 0 || fstat(source, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode)) {
        errno = ESTALE;
        return -1;
    }
    ssize_t sent;
    while ((sent = sendfile(copy, source, NULL, 1 << 20)) > 0)
        ;
    return sent < 0 ? -1 : finish(source, copy, &status);
}

static int copy_link(int from, int to, const char *name) {
    char target[PATH_MAX];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    return symlinkat(target, to, name);
}

static int copy_directory(int from, int to, int depth);

static int copy_entry(int from, int to, const char *name, int depth) {
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -1;
    if (S_ISREG(status.st_mode))
        return copy_file(from, to, name);
    if (S_ISDIR(status.st_mode)) {
        OWNED source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        bool made = source >= 0 && mkdirat(to, name, 0700) == 0;
        OWNED copy = made ? openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (copy < 0 || copy_directory(source, copy, depth + 1) != 0)
            return -1;
        return finish(source, copy, &status);
    }
    bool link = S_ISLNK(status.st_mode);
    if ((link ? copy_link(from, to, name) : mknodat(to, name, status.st_mode, status.st_rdev)) != 0)
        return -1;
    if (fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != EINVAL)
        return -1;
    if (!link && fchmodat(to, name, status.st_mode & 07777, 0) != 0)
        return -1;
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}

/* struct linux_dirent64 of getdents64(2): opendir(3) would allocate 32 KiB for every level. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
};

static int copy_directory(int from, int to, int depth) {
    _Alignas(struct entry) char entries[1024];
    long got;
    if (depth > DEPTH) {
        errno = ELOOP;
        return -1;
    }
    while ((got = syscall(SYS_getdents64, from, entries, sizeof entries)) > 0)
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(const void *)(entries + at);
            at += entry->size;
            if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0 &&
                copy_entry(from, to, entry->name, depth) != 0)
                return -1;
        }
    return got < 0 ? -1 : 0;
}

/* Gives the tmpfs the owner and mode of the directory it covers. The config's own options follow and override them. */
static int take_owner(struct context *context, const struct filesystem *filesystem, int directory) {
    struct stat status;
    char mode[16], uid[24], gid[24];
    if (fstat(directory, &status) != 0)
        return refuse(context, "stat %s", filesystem->target);
    snprintf(mode, sizeof mode, "mode=%04o", status.st_mode & 07777);
    snprintf(uid, sizeof uid, "uid=%u", status.st_uid);
    snprintf(gid, sizeof gid, "gid=%u", status.st_gid);
    return filesystem_option(context, filesystem, mode) != 0 || filesystem_option(context, filesystem, uid) != 0 ||
                   filesystem_option(context, filesystem, gid) != 0
               ? -1
               : 0;
}

int step_copy_up(struct context *context, const struct step_copy_up *step) {
    const char *path = step->target.data;
    OWNED target = root_open(context, path, O_DIRECTORY);
    bool made = target < 0 && errno == ENOENT; /* the helper makes it: its owner and mode are not the image's */
    if (made)
        target = root_make(context, path, false);
    OWNED image = target < 0 ? -1 : openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (image < 0)
        return refuse(context, "open %s", path);
    if (check_target(context, target, path, false) != 0)
        return -1;
    struct filesystem filesystem = {.type = "tmpfs", .target = path};
    int failed = filesystem_open(context, &filesystem, step->source.data);
    OWNED configured = filesystem.descriptor;
    /* The mount becomes read-only after the copy. */
    uint64_t attributes = (uint64_t)step->set;
    uint64_t superblock = (uint64_t)step->superblock & ~(uint64_t)MS_RDONLY;
    if (failed || (!made && take_owner(context, &filesystem, image) != 0) ||
        filesystem_options(context, &filesystem, &step->options, superblock) != 0)
        return -1;
    OWNED mount = filesystem_mount(context, &filesystem, attributes & ~(uint64_t)MOUNT_ATTR_RDONLY);
    OWNED copy = mount < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0)
        return -1;
    if (copy < 0 || copy_directory(image, copy, 0) != 0)
        return refuse(context, "copy %s to a tmpfs", path);
    copy_xattrs(image, copy);
    /* The others it has from fsmount(2). A kind of atime cannot be set once more without being cleared: EINVAL. */
    if (set_attributes(mount, false, attributes & MOUNT_ATTR_RDONLY, 0, 0) != 0 || attach_tree(mount, target) != 0)
        return refuse(context, "mount a copy at %s", path);
    return made_mount(context, mount);
}
