/* The terminal of the user's process, from the container's own devpts, and the owner of its standard streams. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* Opens the multiplexer of the devpts at /dev/pts. Only the kernel makes names there, and a mount over the name is
 * refused, so an image cannot make the helper open a device or file of the image's choice (CVE-2025-52565). */
static int open_master(struct context *context) {
    OWNED directory = root_open(context, "/dev/pts", O_DIRECTORY);
    if (directory < 0)
        return refuse(context, "open /dev/pts");
    if (!on_filesystem(directory, DEVPTS_SUPER_MAGIC))
        return refuse_without_errno(context, "/dev/pts is not a devpts");
    enum { RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    int master = resolve_at(directory, "ptmx", O_RDWR | O_NOCTTY, RESOLVE);
    if (master < 0)
        return refuse(context, "open /dev/pts/ptmx");
    if (on_filesystem(master, DEVPTS_SUPER_MAGIC) && is_device(master, 5, 2))
        return master;
    close(master);
    return refuse_without_errno(context, "/dev/pts/ptmx is not a terminal multiplexer");
}

/* Opens the slave through the master, not by a name under /dev/pts. */
static int open_slave(struct context *context, int master, struct winsize size) {
    int locked = 0;
    struct termios modes;
    int unlocked = ioctl(master, TIOCSPTLCK, &locked);
    int slave = unlocked != 0 ? -1 : ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return refuse(context, "open the terminal");
    /* A newline stays one byte: the program that shows the output adds the carriage return, as with runc. */
    if (tcgetattr(slave, &modes) == 0) {
        modes.c_oflag &= ~(tcflag_t)ONLCR;
        tcsetattr(slave, TCSANOW, &modes);
    }
    if ((size.ws_row != 0 || size.ws_col != 0) && ioctl(slave, TIOCSWINSZ, &size) != 0) {
        close_owned(&slave);
        return refuse(context, "set the size of the terminal");
    }
    return slave;
}

static int send_master(struct context *context, int master) {
    char name[32];
    unsigned number;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {.bytes = {0}};
    if (ioctl(master, TIOCGPTN, &number) != 0)
        return refuse(context, "number of the terminal");
    int length = snprintf(name, sizeof name, "/dev/pts/%u", number);
    struct iovec payload = {name, (size_t)length};
    struct msghdr message = {
        .msg_iov = &payload, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof master);
    memcpy(CMSG_DATA(header), &master, sizeof master);
    OWNED socket_ = context->slots[SLOT_CONSOLE];
    context->slots[SLOT_CONSOLE] = -1;
    ssize_t sent;
    do
        sent = sendmsg(socket_, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == length ? 0 : refuse(context, "send the terminal to the console socket");
}

static int mount_console(struct context *context, int slave) {
    const char *name;
    OWNED parent = root_parent(context, "/dev/console", &name);
    /* If the name were a symbolic link, the terminal would be mounted over any file of the image. */
    OWNED made = parent < 0 ? -1 : openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    OWNED target = parent < 0 ? -1 : openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (target < 0 || fstat(target, &status) != 0)
        return refuse(context, "make /dev/console");
    if (S_ISLNK(status.st_mode))
        return refuse_without_errno(context, "/dev/console is a symbolic link");
    OWNED tree = clone_tree(slave, false);
    if (tree < 0 || attach_tree(tree, target) != 0)
        return refuse(context, "mount the terminal at /dev/console");
    return 0;
}

int step_console(struct context *context, const struct step_console *step) {
    const struct winsize size = {
        .ws_row = (unsigned short)step->rows,
        .ws_col = (unsigned short)step->columns,
    };
    OWNED master = open_master(context);
    OWNED slave = master < 0 ? -1 : open_slave(context, master, size);
    if (slave < 0 || send_master(context, master) != 0)
        return -1;
    if (step->mount != 0 && mount_console(context, slave) != 0)
        return -1;
    for (int stream = 0; stream < 3; stream++)
        if (dup2(slave, stream) < 0)
            return refuse(context, "make the terminal the standard streams");
    return ioctl(0, TIOCSCTTY, 0) == 0 ? 0 : refuse(context, "make the terminal the controlling one");
}

/* Replaces standard streams that are the host's null device by the container's: CRIU finds no mount for a descriptor of
 * the host's /dev, and the user may open the container's own. Opened for reading and writing, as runc does: some
 * callers pass a read-only descriptor as standard output (ctr --null-io). The image may have put anything at /dev/null,
 * so the file is opened only after a check that it is the null device. */
int step_null_streams(struct context *context) {
    OWNED found = resolve_at(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW, 0);
    if (found < 0 || !is_device(found, 1, 3))
        return 0;
    for (int stream = 0; stream < 3; stream++) {
        int flags = is_device(stream, 1, 3) ? fcntl(stream, F_GETFL) : -1;
        if (flags < 0)
            continue;
        /* Checked again, because the name may lead to another file by now. This open blocks on no kind of file. */
        OWNED null = resolve_at(AT_FDCWD, "/dev/null", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (null < 0 || !is_device(null, 1, 3))
            return refuse_without_errno(context, "/dev/null was changed while it was opened");
        if (fcntl(null, F_SETFL, flags & (O_APPEND | O_NONBLOCK)) != 0 || dup2(null, stream) < 0)
            return refuse(context, "open the container's /dev/null as standard stream %d", stream);
    }
    return 0;
}

int step_stdio_owner(struct context *context, const struct step_stdio_owner *step) {
    uid_t uid = (uid_t)step->uid;
    for (int stream = 0; stream < 3; stream++) {
        struct stat status;
        /* As the owner, a user can open /dev/stdout. The null device is open to every user. */
        if (fstat(stream, &status) != 0 || status.st_uid == uid || is_device(stream, 1, 3))
            continue;
        /* The owner stays if the id is not mapped in this user namespace, or if the filesystem is read-only. */
        if (fchown(stream, uid, (gid_t)-1) != 0 && errno != EINVAL && errno != EPERM && errno != EROFS)
            return refuse(context, "chown the standard stream %d", stream);
    }
    return 0;
}
