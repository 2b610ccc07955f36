/* What loading a library changed of the process itself is put back to what it was (--preload-lib): all that is not seen
 * or not set from outside. What is (limits, nice, children, ids, namespaces), the runtime compares and puts back. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    IOPRIO_WHO_PROCESS = 1, /* linux/ioprio.h, not in Debian 12's headers */
    ASK_PERSONALITY = -1    /* personality(2): 0xffffffff changes nothing */
};

static struct snapshot taken;

static void capabilities(struct __user_cap_data_struct data[2]) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    syscall(SYS_capget, &header, data);
}

void snapshot_take(struct context *context) {
    struct __user_cap_data_struct held[2] = {0};
    capabilities(held);
    taken = (struct snapshot){
        .is_taken = true,
        .dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
        .securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0),
        .timer_slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0),
        .huge_pages_off = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0),
        .personality = personality((unsigned long)ASK_PERSONALITY),
        .io_priority = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0),
        .umask = umask(0),
        .keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0),
        .memory_mode = -1,
    };
    umask(taken.umask);
    for (int half = 0; half < 2; half++) {
        taken.effective[half] = held[half].effective;
        taken.inheritable[half] = held[half].inheritable;
    }
    /* ENOSYS on a kernel without CONFIG_NUMA leaves the mode at -1: then there is none to be put back. */
    syscall(SYS_get_mempolicy, &taken.memory_mode, taken.memory_nodes, sizeof taken.memory_nodes * 8, NULL, 0);
    for (int slot = 0; slot < SLOT_INHERITED; slot++)
        if (fcntl(context->slots[slot], F_GETFD) >= 0)
            taken.inherited |= 1u << slot;
    /* The directory itself, not its name: it may be moved, or be out of our reach. */
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here >= 0) {
        dup3(here, context->slots[SLOT_DIRECTORY], O_CLOEXEC);
        close(here);
        taken.inherited |= 1u << SLOT_DIRECTORY;
    }
}

bool snapshot_is_taken(void) { return taken.is_taken; }

/* Through argv, for an execve lies between. Two letters a byte: a zero would end the word. */
void snapshot_write(char text[SNAPSHOT_TEXT]) {
    const unsigned char *bytes = (const unsigned char *)&taken;
    for (size_t i = 0; i < sizeof taken; i++) {
        text[2 * i] = (char)('a' + (bytes[i] >> 4));
        text[2 * i + 1] = (char)('a' + (bytes[i] & 15));
    }
    text[2 * sizeof taken] = '\0';
}

void snapshot_read(const char *text) {
    unsigned char *bytes = (unsigned char *)&taken;
    if (strlen(text) == 2 * sizeof taken)
        for (size_t i = 0; i < sizeof taken; i++)
            bytes[i] = (unsigned char)((text[2 * i] - 'a') << 4 | (text[2 * i + 1] - 'a'));
}

/* A slot that the runtime did not fill is a number that the library's next open may have got. */
static void forget_empty_slots(struct context *context) {
    for (int slot = 0; slot < SLOT_INHERITED; slot++)
        if ((taken.inherited >> slot & 1) == 0)
            context->slots[slot] = -1;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Everything is closed that no step knows of, so that neither a hook nor a later step meets it. */
static void close_foreign(struct context *context) {
    static int known[SLOT_COUNT + 4];
    size_t count = 0;
    known[count++] = context->kept + 1; /* the plan; below it lie the standard, the preserved ones and the channel */
    known[count++] = context->root;
    known[count++] = context->proc;
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        known[count++] = context->slots[slot];
    qsort(known, count, sizeof *known, ascending);
    unsigned from = (unsigned)context->channel + 1;
    for (size_t i = 0; i < count; i++) {
        if (known[i] < (int)from)
            continue;
        if (known[i] > (int)from)
            syscall(SYS_close_range, from, (unsigned)known[i] - 1, 0);
        from = (unsigned)known[i] + 1;
    }
    syscall(SYS_close_range, from, ~0U, 0);
}

static int put_back_capabilities(struct context *context) {
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
    if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != taken.securebits && prctl(PR_SET_SECUREBITS, taken.securebits, 0, 0, 0) != 0)
        return refuse(context, "securebits were changed by loading, and cannot be put back");
    return 0;
}

static void put_back_signals(void) {
    const struct itimerval none = {0};
    sigset_t empty;
    sigemptyset(&empty);
    /* An alarm would outlive the execve (execve(2)). */
    setitimer(ITIMER_REAL, &none, NULL);
    setitimer(ITIMER_VIRTUAL, &none, NULL);
    setitimer(ITIMER_PROF, &none, NULL);
    for (int number = 1; number < NSIG; number++) /* libc refuses its own two, which a thread may still need */
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

int step_settle(struct context *context, const union argument *arguments) {
    if (!taken.is_taken)
        return refuse_without_errno(context, "nothing is known of the time before loading");
    forget_empty_slots(context);
    put_back_signals();
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        ; /* children of the library's, which the runtime has killed */
    if (fchdir(context->slots[SLOT_DIRECTORY]) != 0)
        return refuse(context, "back to the working directory");
    umask((mode_t)taken.umask);
    if (put_back_capabilities(context) != 0)
        return -1;
    personality((unsigned long)taken.personality);
    prctl(PR_SET_TIMERSLACK, taken.timer_slack, 0, 0, 0);
    prctl(PR_SET_THP_DISABLE, taken.huge_pages_off, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, taken.dumpable, 0, 0, 0);
    if ((int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) != taken.io_priority &&
        syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, taken.io_priority) != 0)
        return refuse(context, "io priority was changed by loading, and cannot be put back");
    if (taken.memory_mode >= 0)
        syscall(SYS_set_mempolicy, taken.memory_mode, taken.memory_mode > 0 ? taken.memory_nodes : NULL,
                taken.memory_mode > 0 ? sizeof taken.memory_nodes * 8 : 0);
    /* A session keyring is left by joining another one only, which a later step does, or was told not to. */
    if (arguments[0].number == 0 &&
        syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) != taken.keyring)
        return refuse_without_errno(context, "the session keyring was changed by loading, and cannot be put back");
    close_foreign(context);
    return 0;
}
