/* Changes of a mount after it was made: by a descriptor of that mount, never by another look-up of its path, because a
 * process that shares the image's files may have exchanged the names meanwhile. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers of mounts by slot (step mount-note). Numbers, not descriptors, whose count would grow with the config. */
static uint64_t noted[SLOT_COUNT];

int set_attributes(int mount, int recursive, uint64_t set, uint64_t clear, uint64_t propagation) {
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    if ((set | clear | propagation) == 0)
        return 0;
    return mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes);
}

uint64_t mount_number(int descriptor) {
    struct statx status;
#ifdef STATX_MNT_ID_UNIQUE /* Linux 6.8: not used again after an unmount */
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &status) == 0 &&
        (status.stx_mask & STATX_MNT_ID_UNIQUE) != 0)
        return status.stx_mnt_id;
#endif
    return statx(descriptor, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) == 0 ? status.stx_mnt_id : 0;
}

int made_mount(struct context *context, int mount) {
    close_owned(&context->made);
    context->made = fcntl(mount, F_DUPFD_CLOEXEC, 3);
    return context->made >= 0 ? 0 : refuse(context, "keep a descriptor of the mount");
}

int step_mount_attributes(struct context *context, const struct step_mount_attributes *step) {
    if (set_attributes(context->made, step->recursive != 0, (uint64_t)step->set, (uint64_t)step->clear, 0) != 0)
        return refuse(context, "change the mount at %s", step->target.data);
    return 0;
}

int step_mount_propagation(struct context *context, const struct step_mount_propagation *step) {
    uint64_t flags = (uint64_t)step->flags;
    if (set_attributes(context->made, (flags & MS_REC) != 0, 0, 0, flags & ~(uint64_t)MS_REC) != 0)
        return refuse(context, "propagation of the mount at %s", step->target.data);
    return 0;
}

int step_mount_note(struct context *context, const struct step_mount_note *step) {
    noted[step->slot] = mount_number(context->made);
    return noted[step->slot] != 0 ? 0 : refuse(context, "statx the mount");
}

int step_mount_read_only(struct context *context, const struct step_mount_read_only *step) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        OWNED mount = root_open(context, step->target.data, 0);
        if (mount < 0 || mount_number(mount) != noted[step->slot])
            continue;
        if (set_attributes(mount, false, MOUNT_ATTR_RDONLY, 0, 0) != 0)
            return refuse(context, "make the mount at %s read-only", step->target.data);
        return 0;
    }
    return refuse_without_errno(context, "%s is not what was mounted there any more", step->target.data);
}

/* Changes the options of the filesystem itself, as mount -o remount does. */
static int reconfigure(struct context *context, int mount, const char *path, const struct list *options) {
    OWNED picked = fspick(mount, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT);
    if (picked < 0)
        return refuse(context, "remount %s", path);
    struct filesystem filesystem = {.type = "again", .target = path, .descriptor = picked};
    if (filesystem_options(context, &filesystem, options, 0) != 0)
        return -1;
    return filesystem_reconfigure(context, &filesystem);
}

int step_remount(struct context *context, const struct step_remount *step) {
    const char *path = step->target.data;
    OWNED mount = root_open(context, path, 0);
    if (mount < 0)
        return refuse(context, "open %s", path);
    if (step->options.count > 0 && reconfigure(context, mount, path, &step->options) != 0)
        return -1;
    if (set_attributes(mount, step->recursive != 0, (uint64_t)step->set, (uint64_t)step->clear, 0) != 0)
        return refuse(context, "change the mount at %s", path);
    return made_mount(context, mount); /* its propagation is changed next */
}
