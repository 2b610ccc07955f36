/* Kernel parameters of the container's namespaces. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

int step_sysctl(struct context *context, const struct step_sysctl *step) {
    const struct text *path = &step->path, *value = &step->value;
    int proc = own_proc(context);
    if (proc < 0)
        return -1;
    /* On the helper's own procfs, with nothing mounted over it and no link followed: a race of mounts cannot redirect
     * this write to /proc/sysrq-trigger or to a file of the host (CVE-2025-52881). */
    enum { RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    OWNED directory = resolve_at(proc, "sys", O_PATH | O_DIRECTORY, RESOLVE);
    OWNED file = directory < 0 ? -1 : resolve_at(directory, path->data, O_WRONLY, RESOLVE);
    if (file < 0)
        return refuse(context, "open /proc/sys/%s", path->data);
    /* One write(2): the kernel takes each as a whole value. */
    ssize_t written = write(file, value->data, value->size);
    if (written >= 0 && (size_t)written != value->size)
        errno = EINVAL;
    if (written < 0 || (size_t)written != value->size)
        return refuse(context, "write \"%s\" to /proc/sys/%s", value->data, path->data);
    return 0;
}
