/* The kernel's list of the mounts of this mount namespace, and its uses. */
#include "mounts.h"
#include "parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COVERED = 64 /* the most locked mounts, which can only be covered */ };

/* Reads a whole file of procfs, malloc'ed. NULL with errno, also if only a part can be read: a mount that is missing
 * from the list would not be hidden. */
static char *read_whole(int descriptor) {
    size_t size = 0, room = 8192;
    char *text = malloc(room);
    for (ssize_t got = 1; text != NULL && got > 0; size += (size_t)got) {
        char *larger = room - size < 4096 ? realloc(text, room *= 2) : text;
        got = larger == NULL ? -1 : read(descriptor, larger + size, room - size - 1);
        if (larger != NULL)
            text = larger;
        if (got < 0) {
            free(text);
            return NULL;
        }
    }
    if (text != NULL)
        text[size] = '\0';
    return text;
}

char *mounts_read(struct context *context) {
    int proc = own_proc(context);
    if (proc < 0)
        return NULL;
    OWNED file = openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
    char *mounts = file < 0 ? NULL : read_whole(file);
    if (mounts == NULL)
        refuse(context, "read the mounts of the namespace");
    return mounts;
}

bool mounts_have(const char *mounts, uint64_t id) {
    for (const char *line = mounts; line != NULL && *line != '\0';) {
        if (strtoull(line, NULL, 10) == id)
            return true;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

uint64_t mount_id(int descriptor) {
    struct statx status;
    return statx(descriptor, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) == 0 ? status.stx_mnt_id : 0;
}

static uint64_t covered[COVERED];
static size_t covered_count;

static bool is_covered(uint64_t id) {
    for (size_t i = 0; i < covered_count; i++)
        if (covered[i] == id)
            return true;
    return false;
}

/* Unmounts or covers the mount `id`, which the list has at `path`, and returns 1. Returns 0 if another mount or none is
 * at `path`: then a mount over `id` may have been unmounted, and the list is out of date. -1 with errno. */
static int hide(const char *path, uint64_t id) {
    OWNED found = resolve_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS); /* the list has none */
    if (found < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
    int wanted = mount_id(found) == id;
    /* An unmount propagates to the host if the parent mount is a peer of the host's: /, or /sys for a mount below
     * it. */
    if (propagate_mount_of(openat(found, "..", O_PATH | O_DIRECTORY | O_CLOEXEC), MS_SLAVE) != 0 ||
        set_attributes(found, true, 0, 0, MS_SLAVE) != 0 || fchdir(found) != 0)
        return errno == EINVAL && !wanted ? 0 : -1; /* EINVAL: the name leads to a directory that is not a mount */
    /* "." is the directory that was checked; the name may lead to another mount by now. */
    if (umount2(".", MNT_DETACH) == 0)
        return wanted;
    if ((errno != EINVAL && errno != EPERM) || covered_count == COVERED)
        return -1;
    /* In a user namespace the host's mounts are locked (mount_namespaces(7)), and can only be covered. */
    covered[covered_count++] = id;
    return mount("tmpfs", ".", "tmpfs", 0, NULL) == 0 ? 1 : -1;
}

/* Goes through a list once. Returns 1 if every mount outside of `root` is hidden, 0 if the list must be read again. In
 * the `last` pass a mount that its name does not lead to must lie below a later mount; otherwise another process
 * exchanges the names, and the mount would stay. */
static int hide_listed(struct context *context, char *mounts, const char *root, bool last) {
    int all = 1;
    for (char *line; (line = strsep(&mounts, "\n")) != NULL;) {
        uint64_t id = strtoull(line, NULL, 10);
        const char *path = is_covered(id) ? NULL : mountinfo_elsewhere(line, root);
        int hidden = path != NULL ? hide(path, id) : 1;
        if (hidden < 0)
            return refuse(context, "hide %s of the host", path);
        if (hidden == 0 && last && !mountinfo_covers(mounts, path))
            return refuse_without_errno(context, "%s of the host cannot be hidden: its name leads elsewhere", path);
        all &= hidden;
    }
    return all;
}

int hide_proc_and_sys(struct context *context) {
    char link[32], root[PATH_MAX];
    int proc = own_proc(context);
    if (proc < 0)
        return -1;
    snprintf(link, sizeof link, "self/fd/%d", context->root);
    ssize_t length = readlinkat(proc, link, root, sizeof root - 1);
    if (length < 0)
        return refuse(context, "the name of the container's root");
    root[length] = '\0';
    if (strcmp(root, "/") == 0) /* the container's mounts and the host's would have the same paths */
        return refuse_without_errno(context, "without pivot_root the container's root user must reach the root");
    for (int attempt = 0, hidden = 0; hidden == 0 && attempt < ATTEMPTS; attempt++) {
        char *mounts = mounts_read(context);
        hidden = mounts == NULL ? -1 : hide_listed(context, mounts, root, attempt == ATTEMPTS - 1);
        free(mounts);
        if (hidden < 0)
            return -1;
    }
    return 0;
}
