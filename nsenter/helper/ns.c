/* Namespaces: opened and checked, joined, made; and the clone of the child process. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int step_open_namespace(struct context *context, const struct step_open_namespace *step) {
    const char *path = step->path.data;
    /* O_NONBLOCK: the open must not block on a FIFO. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return refuse(context, "%s", path);
    context->slots[step->slot] = descriptor;
    int type = ioctl(descriptor, NS_GET_NSTYPE);
    if (type < 0)
        return refuse_without_errno(context, "%s: not a namespace", path);
    if (type != step->type)
        return refuse_without_errno(context, "%s: a namespace of another kind", path);
    return 0;
}

int step_join(struct context *context, const struct step_join *step) {
    if (setns(context->slots[step->slot], (int)step->types) != 0)
        return refuse(context, "setns");
    return 0;
}

int step_unshare(struct context *context, const struct step_unshare *step) {
    if (unshare((int)step->types) != 0)
        return refuse(context, "unshare");
    return 0;
}

int step_time_offset(struct context *context, const struct step_time_offset *step) {
    char line[96];
    int length = snprintf(line, sizeof line, "%s %lld %lld\n", step->clock.data, (long long)step->secs,
                          (long long)step->nanosecs);
    int descriptor = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    struct statfs filesystem;
    if (descriptor < 0)
        return refuse(context, "open /proc/self/timens_offsets");
    bool real = fstatfs(descriptor, &filesystem) == 0 && filesystem.f_type == PROC_SUPER_MAGIC;
    bool written = real && write(descriptor, line, (size_t)length) == length;
    int saved = errno;
    close(descriptor);
    errno = saved;
    if (!real)
        return refuse_without_errno(context, "/proc is not procfs");
    return written ? 0 : refuse(context, "write %.*s to /proc/self/timens_offsets", length - 1, line);
}

/* The child process is a child of the helper's parent (CLONE_PARENT), so that the runtime, and after it the runtime's
 * caller, can wait for it. The process that clones sends the pid, because it sees the pid of the runtime's pid
 * namespace. */
int step_clone(struct context *context, const struct step_clone *step) {
    struct clone_args clone = {.flags = (uint64_t)step->types | CLONE_PARENT};
    long pid = syscall(SYS_clone3, &clone, sizeof clone);
    if (pid < 0)
        return refuse(context, "clone3");
    if (pid > 0) {
        send_pid(context, (int32_t)pid);
        _exit(0);
    }
    context->is_init = true;
    return 0;
}

int step_become_root(struct context *context) {
    /* EPERM with "setgroups deny" and with a map of a single id: then the groups stay as they are. */
    if (own_groups(0, NULL) != 0 && errno != EPERM)
        return refuse(context, "setgroups");
    if (own_group(0) != 0)
        return refuse(context, "become group 0 of the user namespace");
    if (own_user(0) != 0)
        return refuse(context, "become user 0 of the user namespace");
    return 0;
}

/* Before the helper joins a pid namespace: the processes in it must not ptrace the helper or open its /proc/PID/exe or
 * fd (CVE-2016-9962, CVE-2019-5736). execve makes the user's program dumpable again. */
int step_undumpable(struct context *context) {
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return refuse(context, "prctl PR_SET_DUMPABLE");
    return 0;
}

int step_session(struct context *context) {
    if (setsid() < 0)
        return refuse(context, "setsid");
    return 0;
}
