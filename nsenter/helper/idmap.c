/* Id-mapped mounts: a user namespace that exists only to carry the mapping, and its application to a tree. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* One write(2): the kernel takes a map whole or not at all (user_namespaces(7)). */
static int write_map(pid_t pid, const char *file, const struct list *lines) {
    char path[64], text[4096];
    size_t used = 0;
    const unsigned char *cursor = lines->items;
    for (size_t i = 0; i < lines->count; i++) {
        struct text line = list_next(&cursor);
        if (used + line.size + 1 > sizeof text) {
            errno = E2BIG;
            return -1;
        }
        memcpy(text + used, line.data, line.size);
        used += line.size;
        text[used++] = '\n';
    }
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    ssize_t written = write(descriptor, text, used);
    int saved = errno;
    close(descriptor);
    errno = saved;
    return written == (ssize_t)used ? 0 : -1;
}

/* The process that holds the namespace. It ends with its parent, however the parent ends: no other process knows the
 * pid. */
static _Noreturn void hold_namespace(pid_t parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        for (;;)
            pause();
    _exit(1);
}

/* The descriptor keeps the namespace after the process that holds it has ended. */
int step_user_namespace(struct context *context, const struct step_user_namespace *step) {
    struct clone_args clone = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    char path[64];
    pid_t parent = getpid();
    long pid = syscall(SYS_clone3, &clone, sizeof clone);
    if (pid < 0)
        return refuse(context, "clone a user namespace");
    if (pid == 0)
        hold_namespace(parent);
    snprintf(path, sizeof path, "/proc/%ld/ns/user", pid);
    int descriptor = -1;
    if (write_map((pid_t)pid, "uid_map", &step->users) == 0 &&
        write_map((pid_t)pid, "gid_map", &step->groups) == 0)
        descriptor = open(path, O_RDONLY | O_CLOEXEC);
    int saved = errno;
    kill((pid_t)pid, SIGKILL);
    waitpid((pid_t)pid, NULL, 0);
    errno = saved;
    if (descriptor < 0)
        return refuse(context, "map ids of the user namespace");
    context->slots[step->slot] = descriptor;
    return 0;
}

int step_map_tree(struct context *context, const struct step_map_tree *step) {
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .userns_fd = (uint64_t)context->slots[step->namespace],
    };
    unsigned flags = AT_EMPTY_PATH | (step->recursive ? AT_RECURSIVE : 0);
    if (syscall(SYS_mount_setattr, context->slots[step->slot], "", flags, &attributes, sizeof attributes) != 0)
        return refuse(context, "map the ids of the mount");
    return 0;
}
