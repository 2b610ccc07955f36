/* The kernel's list of the mounts of our namespace, and what is done with it. */
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

enum { COVERED = 64 /* locked mounts that can only be covered */ };

/* The whole of a file of procfs, malloc'ed. NULL with errno, also when only a part can be read: what is not in the list
 * would not be hidden. */
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

/* Takes the mount `id` away, which the list has at `path`. 1; 0 where by now another lies there, or none: what lies
 * over it has been taken away, and the list is out of date; -1 with errno. */
static int hide(const char *path, uint64_t id) {
    OWNED found = resolve_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS); /* the list has none */
    if (found < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
    int wanted = mount_id(found) == id;
    /* An unmount reaches the host when what is mounted upon is its peer: /, and /sys for what lies on that. */
    if (propagate_mount_of(openat(found, "..", O_PATH | O_DIRECTORY | O_CLOEXEC), MS_SLAVE) != 0 ||
        set_attributes(found, true, 0, 0, MS_SLAVE) != 0 || fchdir(found) != 0)
        return errno == EINVAL && !wanted ? 0 : -1; /* the name leads to a directory that is no mount */
    /* "." is what was looked at; the name may lead to another mount by now. */
    if (umount2(".", MNT_DETACH) == 0)
        return wanted;
    if ((errno != EINVAL && errno != EPERM) || covered_count == COVERED)
        return -1;
    /* In a user namespace the host's mounts are locked (mount_namespaces(7)): then they are covered. */
    covered[covered_count++] = id;
    return mount("tmpfs", ".", "tmpfs", 0, NULL) == 0 ? 1 : -1;
}

/* One pass through a list: 1 when all that is elsewhere has been hidden, 0 when it has to be read again. In the `last`
 * one what no name leads to must lie below a later mount: else somebody exchanges the names, and it would stay. */
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
    if (strcmp(root, "/") == 0) /* the names of its mounts and of the host's would be the same */
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
