/* What the files about paths and mounts share. */
#ifndef PYRUNC_MOUNTS_H
#define PYRUNC_MOUNTS_H

#include "helper.h"

#include <sys/mount.h>

/* A descriptor that is closed where its variable ends, even when that is all it is for; errno stays as it was. */
#define OWNED __attribute__((cleanup(close_owned), unused)) int
void close_owned(const int *descriptor);

/* Against names that another process keeps exchanging: look-ups of one, and lists of mounts that are out of date by the
 * time that they are gone through. */
enum { ATTEMPTS = 128 };

/* path.c */
/* openat2 with O_CLOEXEC, never through a magic link; -1 with errno. `resolve`: RESOLVE_* */
int resolve_at(int directory, const char *path, uint64_t flags, uint64_t resolve);
/* The directory that holds the last name of `path`, made where missing, and that name; -1 with errno. */
int root_parent(struct context *context, const char *path, const char **name);
/* Are both descriptors of one inode on one mount? */
bool same_place(int one, int other);
bool on_filesystem(int descriptor, long magic);
/* Is it a whole procfs, and not a directory of one? */
bool is_proc_root(int descriptor);
/* Is it the character device of these numbers? */
bool is_device(int descriptor, unsigned major, unsigned minor);

/* mount.c */
/* A detached copy of the mount at `descriptor`; -1 with errno. */
int clone_tree(int descriptor, int recursive);
/* Attaches a detached tree; both by descriptor, so that no path is looked up again. -1 with errno. */
int attach_tree(int tree, int target);
/* -1 with refuse() unless the config may have something mounted over `target`; `procfs`: a whole procfs. */
int check_target(struct context *context, int target, const char *path, bool procfs);

/* mounted.c */
/* mount_setattr on the mount that `mount` is the root of, and with AT_RECURSIVE on all below it; -1 with errno. */
int set_attributes(int mount, int recursive, uint64_t set, uint64_t clear, uint64_t propagation);
/* The kernel's number of the mount that `descriptor` lies on; 0 on failure. */
uint64_t mount_number(int descriptor);
/* Keeps `mount` as the one that the next steps may change; -1 with refuse(). */
int made_mount(struct context *context, int mount);

/* mountinfo.c */
/* The list of our namespace's mounts (proc_pid_mountinfo(5)), malloc'ed; NULL with refuse(). */
char *mounts_read(struct context *context);
bool mounts_have(const char *mounts, uint64_t id);
/* What the list calls the mount that `descriptor` lies on; 0 on failure. Used again after an unmount. */
uint64_t mount_id(int descriptor);
/* chroot leaves the host's mounts in the namespace, and a whole procfs among them lets a user namespace made in the
 * container mount another without our masks (mount_too_revealing in the kernel): none may stay. The working directory
 * is anywhere afterwards. */
int hide_proc_and_sys(struct context *context);

/* rootfs.c */
/* Changes the mount that `place` lies on, and closes it; -1 with errno. */
int propagate_mount_of(int place, uint64_t propagation);

/* filesystem.c */
struct filesystem {
    const char *type, *target; /* for messages */
    int descriptor;            /* of fsopen; OWNED by the function that declares it */
};
/* Each returns -1 with refuse(), the kernel's own words in the message. */
int filesystem_open(struct context *context, struct filesystem *filesystem, const char *source);
int filesystem_option(struct context *context, const struct filesystem *filesystem, const char *option);
/* `superblock` are MS_* bits. */
int filesystem_options(struct context *context, const struct filesystem *filesystem, const struct list *options,
                       uint64_t superblock);
/* The context of a mounted filesystem, opened by fspick(2). */
int filesystem_reconfigure(struct context *context, const struct filesystem *filesystem);
/* A detached mount of it with MOUNT_ATTR_* bits. */
int filesystem_mount(struct context *context, const struct filesystem *filesystem, uint64_t attributes);

#endif
