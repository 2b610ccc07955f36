/* Restores what loading a library changed of the process itself (--preload-lib), as far as other processes cannot read
 * or set it. The runtime compares and restores the rest: limits, nice, children, ids, namespaces. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct snapshot taken;
static bool is_taken;
static long ahead[ATTRIBUTES];
static bool is_ahead;

static void capabilities(struct __user_cap_data_struct data[2]) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    syscall(SYS_capget, &header, data);
}

static void scheduling(struct scheduling *found) {
    *found = (struct scheduling){.size = sizeof *found};
    syscall(SYS_sched_getattr, 0, found, sizeof *found, 0);
}

void snapshot_ahead(void) {
    attributes_read(ahead);
    is_ahead = true;
}

void snapshot_take(struct context *context, struct snapshot *before) {
    struct __user_cap_data_struct held[2] = {0};
    capabilities(held);
    *before = (struct snapshot){
        .umask = umask(0),
        .keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0),
        .memory_mode = -1,
    };
    umask(before->umask);
    if (is_ahead)
        memcpy(before->attributes, ahead, sizeof ahead);
    else
        attributes_read(before->attributes);
    scheduling(&before->scheduling);
    for (int half = 0; half < 2; half++) {
        before->effective[half] = held[half].effective;
        before->inheritable[half] = held[half].inheritable;
    }
    /* ENOSYS on a kernel without CONFIG_NUMA leaves the mode at -1: then there is no policy to restore. */
    syscall(SYS_get_mempolicy, &before->memory_mode, before->memory_nodes, sizeof before->memory_nodes * 8, NULL, 0);
    /* The directory itself, not its name: the directory may be moved, or be unreachable by name. */
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here >= 0) {
        dup3(here, context->slots[SLOT_DIRECTORY], O_CLOEXEC);
        close(here);
    }
}

void snapshot_restore(const struct snapshot *before) {
    taken = *before;
    is_taken = true;
}

static int restore_capabilities(struct context *context) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[2] = {0};
    capabilities(held);
    for (int half = 0; half < 2; half++) {
        held[half].effective = taken.effective[half] & held[half].permitted;
        held[half].inheritable = taken.inheritable[half];
    }
    if (syscall(SYS_capset, &header, held) != 0)
        return refuse(context, "capset, after loading");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return 0;
}

/* Resets handlers, and discards pending signals that the library has sent while they were blocked: ignoring a signal
 * discards it (signal(7)). */
static void restore_signals(void) {
    static const struct {
        void (*handler)(int);
        unsigned long rest[7];
    } ignore = {.handler = SIG_IGN}, by_default = {.handler = SIG_DFL};
    sigset_t empty, pending;
    sigemptyset(&empty);
    sigpending(&pending);
    for (int pass = 0; pass < 2; pass++) { /* the second for signals that arrived during the first */
        for (int number = 1; number < NSIG; number++) { /* the raw system call: libc refuses 32 and 33 */
            bool waits = number == 32 || number == 33 || sigismember(&pending, number) == 1;
            if (waits)
                syscall(SYS_rt_sigaction, number, &ignore, NULL, (size_t)(NSIG / 8));
            if (waits || pass == 0)
                syscall(SYS_rt_sigaction, number, &by_default, NULL, (size_t)(NSIG / 8));
        }
        sigpending(&pending);
    }
    sigprocmask(SIG_SETMASK, &empty, NULL);
}

/* The runtime has restored policy and nice; the other attributes can be set only by sched_setattr(2). */
static int restore_scheduling(struct context *context, char *undone, size_t room) {
    enum { CLAMP = 0x60 }; /* SCHED_FLAG_UTIL_CLAMP; the kernel answers EOPNOTSUPP without CONFIG_UCLAMP_TASK */
    struct scheduling now, wanted = taken.scheduling;
    scheduling(&now);
    if (memcmp(&now, &wanted, sizeof now) == 0)
        return 0;
    if (now.clamp_min != wanted.clamp_min || now.clamp_max != wanted.clamp_max)
        wanted.flags |= CLAMP;
    if (wanted.policy == 0 || wanted.policy == 3) /* 0: the default slice (Linux 6.12), most likely the state before */
        wanted.runtime = 0;
    syscall(SYS_sched_setattr, 0, &wanted, 0);
    scheduling(&now);
    if (now.runtime != taken.scheduling.runtime) {
        wanted.runtime = taken.scheduling.runtime;
        syscall(SYS_sched_setattr, 0, &wanted, 0);
        scheduling(&now);
    }
    if (memcmp(&now, &taken.scheduling, sizeof now) != 0)
        return refuse_without_errno(context, "loading changed what cannot be undone: scheduling attributes");
    add_undone(undone, room, "scheduling attributes");
    return 0;
}

static int restore_memory_policy(struct context *context, char *undone, size_t room) {
    int mode = -1;
    unsigned long nodes[sizeof taken.memory_nodes / sizeof *taken.memory_nodes] = {0};
    if (taken.memory_mode < 0 || syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, NULL, 0) != 0 ||
        (mode == taken.memory_mode && memcmp(nodes, taken.memory_nodes, sizeof nodes) == 0))
        return 0;
    if (syscall(SYS_set_mempolicy, taken.memory_mode, taken.memory_mode > 0 ? taken.memory_nodes : NULL,
                taken.memory_mode > 0 ? sizeof taken.memory_nodes * 8 : 0) != 0)
        return refuse(context, "loading changed what cannot be undone: memory policy");
    add_undone(undone, room, "memory policy");
    return 0;
}

static void send_undone(struct context *context, const char *undone) {
    char message[1 + ERROR_SIZE] = {MESSAGE_UNDONE};
    size_t length = strlen(undone);
    memcpy(message + 1, undone, length);
    if (length > 0)
        send_message(context->channel, message, 1 + length);
}

int step_settle(struct context *context, const struct step_settle *step) {
    char undone[ERROR_SIZE - 1] = "";
    if (!is_taken)
        return refuse_without_errno(context, "nothing is known of the time before loading");
    restore_signals();
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        ; /* reaps children of the library, which the runtime has killed */
    if (fchdir(context->slots[SLOT_DIRECTORY]) != 0)
        return refuse(context, "back to the working directory");
    umask((mode_t)taken.umask);
    if (restore_capabilities(context) != 0 ||
        attributes_settle(context, taken.attributes, undone, sizeof undone) != 0 ||
        restore_scheduling(context, undone, sizeof undone) != 0 ||
        restore_memory_policy(context, undone, sizeof undone) != 0)
        return -1;
    /* A process leaves a session keyring only by joining another one. A later step does that if `keyring_follows`. */
    if (step->keyring_follows == 0 &&
        syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) != taken.keyring)
        return refuse_without_errno(context, "the session keyring was changed by loading, and cannot be restored");
    send_undone(context, undone);
    return 0;
}
