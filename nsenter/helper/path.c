/* Paths inside the container's root. The author of the image, and every process that shares its files, controls what
 * lies there. So the kernel keeps every look-up inside the root, and a name that was made is looked up again
 * (CVE-2021-30465, CVE-2024-45310). */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PROC_ROOT = 1 /* inode of the root of every procfs (PROC_ROOT_INO, linux/proc_fs.h) */ };

void close_owned(const int *descriptor) {
    int saved = errno;
    if (*descriptor >= 0)
        close(*descriptor);
    errno = saved;
}

int resolve_at(int directory, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    int descriptor, attempts = 0;
    do /* EAGAIN: a rename or mount anywhere on the system happened while ".." was looked up */
        descriptor = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    while (descriptor < 0 && (errno == EAGAIN || errno == EINTR) && ++attempts < ATTEMPTS);
    return descriptor;
}

int root_open(struct context *context, const char *path, uint64_t flags) {
    if (context->root < 0) /* no step `root` before: the helper has joined a container, or only changes its root */
        context->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return resolve_at(context->root, path, flags | O_PATH, RESOLVE_IN_ROOT);
}

static int make_name(int parent, const char *name, bool file) {
    /* Not the caller's umask: the modes are the same for every caller. */
    mode_t mask = umask(0);
    int made = -1;
    if (!file)
        made = mkdirat(parent, name, 0755);
    else {
        OWNED descriptor = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
        made = descriptor < 0 ? -1 : 0;
    }
    umask(mask);
    return made;
}

/* path[begin..end) exists but cannot be opened, so it is a dangling link: replaces it by its target. Returns 0, also if
 * the name is not a link (any more); -1 with errno. */
static int expand_link(struct context *context, char *path, size_t begin, size_t end) {
    char link[PATH_MAX], expanded[PATH_MAX], saved = path[end];
    path[end] = '\0';
    OWNED found = root_open(context, path, O_NOFOLLOW);
    path[end] = saved;
    ssize_t length = found < 0 ? -1 : readlinkat(found, "", link, sizeof link - 1);
    if (length < 0) /* ENOENT of readlink: not a link */
        return errno == ENOENT ? 0 : -1;
    link[length] = '\0';
    /* The kernel resolves what precedes the link, symbolic links included, so a relative link can be appended to it. */
    int kept = link[0] == '/' ? 0 : (int)begin;
    int printed = snprintf(expanded, sizeof expanded, "%.*s%s%s", kept, path, link, path + end);
    if (printed < 0 || (size_t)printed >= sizeof expanded) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, expanded, (size_t)printed + 1);
    return 0;
}

/* Makes the last name of `path`, which starts at `begin`. */
static int make_missing(struct context *context, char *path, size_t begin, bool file) {
    char first = path[begin];
    path[begin] = '\0';
    OWNED parent = root_open(context, begin > 0 ? path : "/", O_DIRECTORY);
    path[begin] = first;
    return parent < 0 ? -1 : make_name(parent, path + begin, file);
}

/* Makes the first missing name of `path`. Returns 1 if the whole path exists, 0 if a name was made or has changed and
 * the path must be looked up again; -1 with errno. */
static int make_first_missing(struct context *context, char *path, bool file) {
    for (size_t begin = strspn(path, "/"), next; path[begin] != '\0'; begin = next) {
        size_t end = begin + strcspn(path + begin, "/");
        next = end + strspn(path + end, "/");
        bool last = path[next] == '\0';
        char saved = path[end];
        path[end] = '\0';
        OWNED found = root_open(context, path, 0);
        bool missing = found < 0 && errno == ENOENT;
        int made = missing ? make_missing(context, path, begin, file && last) : found < 0 ? -1 : 0;
        path[end] = saved;
        if (made < 0 && errno == EEXIST)
            return expand_link(context, path, begin, end);
        if (made < 0 || missing)
            return made < 0 && errno != ENOENT ? -1 : 0; /* ENOENT: the parent directory has been removed meanwhile */
    }
    return 1;
}

int root_make(struct context *context, const char *path, bool file) {
    int found = root_open(context, path, 0);
    if (found >= 0 || errno != ENOENT)
        return found;
    char missing[PATH_MAX];
    if (strlen(path) >= sizeof missing) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(missing, path);
    for (size_t attempts = ATTEMPTS + strlen(path); attempts > 0; attempts--) { /* each makes one name */
        int result = make_first_missing(context, missing, file);
        if (result < 0)
            return -1;
        if (result > 0 && ((found = root_open(context, missing, 0)) >= 0 || errno != ENOENT))
            return found;
    }
    errno = EAGAIN; /* another process changes the names as fast as they are looked up */
    return -1;
}

int root_parent(struct context *context, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX];
    *name = slash != NULL ? slash + 1 : path;
    size_t length = (size_t)(*name - path);
    if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || length >= sizeof parent) {
        errno = length >= sizeof parent ? ENAMETOOLONG : EISDIR;
        return -1;
    }
    snprintf(parent, sizeof parent, "%.*s", (int)length, path);
    return root_make(context, length > 0 ? parent : "/", false);
}

bool same_place(int one, int other) {
    struct statx a, b;
    return statx(one, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &a) == 0 &&
           statx(other, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &b) == 0 && a.stx_ino == b.stx_ino &&
           a.stx_mnt_id == b.stx_mnt_id && a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor;
}

bool on_filesystem(int descriptor, long magic) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 && (long)status.f_type == magic;
}

bool is_device(int descriptor, unsigned major, unsigned minor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(major, minor);
}

bool is_proc_root(int descriptor) {
    struct stat status;
    return on_filesystem(descriptor, PROC_SUPER_MAGIC) && fstat(descriptor, &status) == 0 && status.st_ino == PROC_ROOT;
}

/* Opens what is mounted at /proc, if that is a whole procfs; else -1 with ENODEV. */
static int mounted_proc(void) {
    int proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (proc >= 0 && is_proc_root(proc))
        return proc;
    close_owned(&proc);
    errno = ENODEV;
    return -1;
}

int own_proc(struct context *context) {
    if (context->proc >= 0)
        return context->proc;
    enum { ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
    OWNED filesystem = fsopen("proc", FSOPEN_CLOEXEC);
    if (filesystem >= 0 && fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        context->proc = fsmount(filesystem, FSMOUNT_CLOEXEC, ATTRIBUTES);
    /* EPERM without CAP_SYS_ADMIN, and in a user namespace that sees no whole procfs. Any other error is a failure. */
    if (context->proc < 0 && errno == EPERM)
        context->proc = mounted_proc();
    return context->proc >= 0 ? context->proc : refuse(context, "open a procfs");
}
