/* Shared by the files about paths and mounts. */
#ifndef PYRUNC_MOUNTS_H
#define PYRUNC_MOUNTS_H

#include "helper.h"

#include <sys/mount.h>

/* A descriptor that is closed at the end of its variable's scope. errno is kept. */
#define OWNED __attribute__((cleanup(close_owned), unused)) int
void close_owned(const int *descriptor);

/* Limit of attempts while another process keeps exchanging names: for look-ups, and for lists of mounts that are out of
 * date before they have been processed. */
enum { ATTEMPTS = 128 };

/* path.c */
/* openat2 with O_CLOEXEC, never through a magic link; -1 with errno. `resolve`: RESOLVE_* */
int resolve_at(int directory, const char *path, uint64_t flags, uint64_t resolve);
/* Opens the directory of the last name of `path`, made if missing, and returns that name in *name; -1 with errno. */
int root_parent(struct context *context, const char *path, const char **name);
/* True if both descriptors are of one inode on one mount. */
bool same_place(int one, int other);
bool on_filesystem(int descriptor, long magic);
/* True for the root of a procfs, false for a directory below it. */
bool is_proc_root(int descriptor);
/* True for the character device of these numbers. */
bool is_device(int descriptor, unsigned major, unsigned minor);

/* mount.c */
/* Returns a detached copy of the mount at `descriptor`; -1 with errno. */
int clone_tree(int descriptor, int recursive);
/* Attaches a detached tree, both given by descriptor, so that no path is looked up again. -1 with errno. */
int attach_tree(int tree, int target);
/* Returns -1 with refuse() if nothing may be mounted over `target`. `procfs`: the mount is a whole procfs. */
int check_target(struct context *context, int target, const char *path, bool procfs);

/* mounted.c */
/* mount_setattr(2) on the mount of which `mount` is the root; `recursive`: also on all mounts below. -1 with errno. */
int set_attributes(int mount, int recursive, uint64_t set, uint64_t clear, uint64_t propagation);
/* Returns the kernel's number of the mount that `descriptor` lies on, unique if the kernel has it; 0 on failure. */
uint64_t mount_number(int descriptor);
/* Keeps `mount` as the one that the next steps may change; -1 with refuse(). */
int made_mount(struct context *context, int mount);

/* mountinfo.c */
/* Returns the mounts of this namespace (proc_pid_mountinfo(5)), malloc'ed; NULL with refuse(). */
char *mounts_read(struct context *context);
bool mounts_have(const char *mounts, uint64_t id);
/* Returns the id that the list has for the mount that `descriptor` lies on; 0 on failure. The kernel reuses ids after
 * an unmount. */
uint64_t mount_id(int descriptor);
/* Hides every whole procfs and sysfs of the host. chroot leaves the host's mounts in the namespace, and with a whole
 * procfs among them a user namespace made in the container may mount another one without masks (mount_too_revealing in
 * the kernel). The working directory is undefined afterwards. */
int hide_proc_and_sys(struct context *context);

/* rootfs.c */
/* Changes the propagation of the mount that `place` lies on, and closes `place`; -1 with errno. */
int propagate_mount_of(int place, uint64_t propagation);

/* filesystem.c */
struct filesystem {
    const char *type, *target; /* for messages */
    int descriptor;            /* of fsopen; OWNED by the function that declares it */
};
/* Each returns -1 with refuse(), with the kernel's own message. */
int filesystem_open(struct context *context, struct filesystem *filesystem, const char *source);
int filesystem_option(struct context *context, const struct filesystem *filesystem, const char *option);
/* `superblock` are MS_* bits. */
int filesystem_options(struct context *context, const struct filesystem *filesystem, const struct list *options,
                       uint64_t superblock);
/* Applies the options set on the context of a mounted filesystem, which fspick(2) opened. */
int filesystem_reconfigure(struct context *context, const struct filesystem *filesystem);
/* Returns a detached mount of the filesystem with MOUNT_ATTR_* bits. */
int filesystem_mount(struct context *context, const struct filesystem *filesystem, uint64_t attributes);

#endif
