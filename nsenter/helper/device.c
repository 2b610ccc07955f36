/* Devices, directories and links of the rootfs, and the settings of the network and UTS namespaces. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Makes a node with exactly this mode: the caller's umask does not apply. */
static int make_node(int parent, const char *name, mode_t mode, dev_t number) {
    mode_t mask = umask(0);
    int result = S_ISDIR(mode) ? mkdirat(parent, name, mode & 07777) : mknodat(parent, name, mode, number);
    umask(mask);
    return result;
}

int step_device(struct context *context, const struct step_device *step) {
    const char *path = step->path.data, *name;
    mode_t type = (mode_t)step->type;
    dev_t number = type == S_IFIFO ? 0 : makedev((unsigned)step->major, (unsigned)step->minor);
    OWNED parent = root_parent(context, path, &name);
    if (parent < 0)
        return refuse(context, "make the directory of %s", path);
    bool made = make_node(parent, name, type | (mode_t)step->mode, number) == 0;
    if (!made && errno != EEXIST)
        return refuse(context, "mknod %s", path);
    /* Checked and chowned by descriptor: in a shared root the name may lead to another file by now. */
    OWNED node = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (node < 0 || fstat(node, &status) != 0)
        return refuse(context, "stat %s", path);
    if ((status.st_mode & S_IFMT) != type || (type != S_IFIFO && status.st_rdev != number))
        return refuse_without_errno(context, "%s exists and is not the device that is asked for", path);
    /* An existing device keeps its owner and mode, as with runc. */
    if (made && fchownat(node, "", (uid_t)step->uid, (gid_t)step->gid, AT_EMPTY_PATH) != 0)
        return refuse(context, "chown %s", path);
    return 0;
}

int step_directory(struct context *context, const struct step_directory *step) {
    const char *path = step->path.data, *name;
    OWNED parent = root_parent(context, path, &name);
    if (parent < 0 || (make_node(parent, name, S_IFDIR | (mode_t)step->mode, 0) != 0 && errno != EEXIST))
        return refuse(context, "make the directory %s", path);
    return 0;
}

/* Stays below the root even if the image's /dev is a link to another place: no link of the host is made or removed
 * (CVE-2026-41579). */
int step_symlink(struct context *context, const struct step_symlink *step) {
    const char *target = step->target.data, *path = step->path.data, *name;
    char found[PATH_MAX];
    OWNED parent = root_parent(context, path, &name);
    if (parent < 0)
        return refuse(context, "make the directory of %s", path);
    if (symlinkat(target, parent, name) == 0)
        return 0;
    if (errno != EEXIST)
        return refuse(context, "symlink %s", path);
    ssize_t length = readlinkat(parent, name, found, sizeof found);
    if ((length >= 0 && (size_t)length == step->target.size && memcmp(found, target, (size_t)length) == 0))
        return 0;
    /* The image's own file, such as a /dev/ptmx that is not of this container's devpts, is replaced. A directory, or a
     * file on a read-only root, stays, as with runc. */
    if (unlinkat(parent, name, 0) == 0 && symlinkat(target, parent, name) != 0)
        return refuse(context, "symlink %s", path);
    return 0;
}

int step_loopback(struct context *context) {
    struct ifreq request = {.ifr_name = "lo"};
    /* Any socket takes requests about interfaces; every kernel has AF_UNIX. */
    OWNED socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0 || ioctl(socket_, SIOCGIFFLAGS, &request) != 0)
        return refuse(context, "look at lo");
    request.ifr_flags |= IFF_UP;
    return ioctl(socket_, SIOCSIFFLAGS, &request) == 0 ? 0 : refuse(context, "bring lo up");
}

int step_hostname(struct context *context, const struct step_hostname *step) {
    const struct text *name = &step->name;
    return sethostname(name->data, name->size) == 0 ? 0 : refuse(context, "sethostname %s", name->data);
}

int step_domainname(struct context *context, const struct step_domainname *step) {
    const struct text *name = &step->name;
    return setdomainname(name->data, name->size) == 0 ? 0 : refuse(context, "setdomainname %s", name->data);
}
