/* Process attributes that execve(2) keeps and no other process can see: read before loading a library, restored after.
 *
 * The list was made from prctl(2), execve(2) and the kernel's copy_process() and begin_new_exec(), Linux 6.18. A kernel
 * or an architecture without an attribute answers EINVAL both times, which counts as unchanged. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Constants that Debian 12's headers lack. */
enum {
    MDWE_SET = 65,
    MDWE_GET = 66,
    MERGE_SET = 67,
    MERGE_GET = 68,
    RISCV_VECTOR_SET = 69,
    RISCV_VECTOR_GET = 70,
    TIMER_RESTORE_SET = 77,
    FUTEX_HASH = 78,
    IOPRIO_WHO_PROCESS = 1,
    ASK_PERSONALITY = -1, /* personality(2): 0xffffffff changes nothing */
    LANDLOCK_CREATE = 444,
    LANDLOCK_RESTRICT = 446,
    LAYERS = 16 /* LANDLOCK_MAX_NUM_LAYERS of the kernel */
};

static long get_tsc(long unused) {
    int value = 0;
    (void)unused;
    return prctl(PR_GET_TSC, &value, 0, 0, 0) == 0 ? value : -1;
}

static long get_unaligned(long option) {
    unsigned value = 0;
    return prctl((int)option, &value, 0, 0, 0) == 0 ? (long)value : -1;
}

static long get_subreaper(long unused) {
    int value = 0;
    (void)unused;
    return prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0) == 0 ? value : -1;
}

static long get_core_cookie(long unused) {
    unsigned long long cookie = 0;
    (void)unused;
    return prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie) == 0 ? (long)cookie : -1;
}

static long get_speculation(long which) { return prctl(PR_GET_SPECULATION_CTRL, which, 0, 0, 0); }

static int set_speculation(long which, long value) {
    return prctl(PR_SET_SPECULATION_CTRL, which, (unsigned long)value & ~(unsigned long)PR_SPEC_PRCTL, 0, 0);
}

static long get_plain(long option) { return prctl((int)option, 0, 0, 0, 0); }

static int set_plain(long option, long value) { return prctl((int)option, value, 0, 0, 0); }

static int set_never(long unused, long value) {
    (void)unused;
    (void)value;
    errno = EPERM;
    return -1;
}

static int set_machine_checks(long unused, long value) {
    (void)unused;
    return value == PR_MCE_KILL_DEFAULT ? prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0)
                                        : prctl(PR_MCE_KILL, PR_MCE_KILL_SET, value, 0, 0);
}

static long get_personality(long unused) {
    (void)unused;
    return personality((unsigned long)ASK_PERSONALITY);
}

static int set_personality(long unused, long value) {
    (void)unused;
    return personality((unsigned long)value) == -1 ? -1 : 0;
}

static long get_io_priority(long unused) {
    (void)unused;
    return syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
}

static int set_io_priority(long unused, long value) {
    (void)unused;
    return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value);
}

/* The keyring into which request_key(2) puts a new key. */
static long get_request_keyring(long unused) {
    (void)unused;
    return syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE);
}

static int set_request_keyring(long unused, long value) {
    (void)unused;
    return syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, value) < 0 ? -1 : 0;
}

static int layers;

/* Adds rulesets until the kernel refuses one: it takes 16 layers in all. Runs in a separate process, because the
 * restrictions stay with that process's credentials. */
static int count_layers(void *with) {
    const uint64_t *handled = with;
    int ruleset = (int)syscall(LANDLOCK_CREATE, handled, sizeof *handled, 0);
    if (ruleset < 0)
        return 0;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    while (layers < LAYERS && syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0)
        layers++;
    return 0;
}

/* The number of Landlock rulesets that restrict this process, which no file of /proc shows. -1 if the kernel has no
 * Landlock, or if the counting process cannot be cloned. */
static long get_landlock(long unused) {
    static char stack[16384] __attribute__((aligned(16)));
    static uint64_t handled = 1; /* LANDLOCK_ACCESS_FS_EXECUTE */
    (void)unused;
    layers = 0;
    if (syscall(LANDLOCK_CREATE, NULL, 0, 1) < 1) /* LANDLOCK_CREATE_RULESET_VERSION */
        return -1;
    int pid = clone(count_layers, stack + sizeof stack, CLONE_VM | CLONE_VFORK, &handled);
    if (pid < 0)
        return -1;
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    return LAYERS - layers;
}

/* 1 if the process has a controlling terminal: a session leader that opens a terminal acquires one (tty(4)). */
static long get_terminal(long unused) {
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    (void)unused;
    if (terminal >= 0)
        close(terminal);
    return terminal >= 0;
}

static int set_terminal(long unused, long value) {
    (void)unused;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (value != 0 || terminal < 0)
        return -1;
    int result = ioctl(terminal, TIOCNOTTY);
    close(terminal);
    return result;
}

static const struct attribute {
    const char *name;
    long (*get)(long option);
    long get_option;
    int (*set)(long option, long value);
    long set_option;
} attributes[ATTRIBUTES] = {
    {"TSC access", get_tsc, 0, set_plain, PR_SET_TSC},
    {"securebits", get_plain, PR_GET_SECUREBITS, set_plain, PR_SET_SECUREBITS},
    {"timer slack", get_plain, PR_GET_TIMERSLACK, set_plain, PR_SET_TIMERSLACK},
    {"huge pages", get_plain, PR_GET_THP_DISABLE, set_plain, PR_SET_THP_DISABLE},
    {"personality", get_personality, 0, set_personality, 0},
    {"io priority", get_io_priority, 0, set_io_priority, 0},
    {"child subreaper", get_subreaper, 0, set_plain, PR_SET_CHILD_SUBREAPER},
    {"machine check policy", get_plain, PR_MCE_KILL_GET, set_machine_checks, 0},
    {"memory deny write execute", get_plain, MDWE_GET, set_never, 0},
    {"memory merging", get_plain, MERGE_GET, set_plain, MERGE_SET},
    {"IO_FLUSHER", get_plain, PR_GET_IO_FLUSHER, set_plain, PR_SET_IO_FLUSHER},
    {"store bypass speculation", get_speculation, PR_SPEC_STORE_BYPASS, set_speculation, PR_SPEC_STORE_BYPASS},
    {"indirect branch speculation", get_speculation, PR_SPEC_INDIRECT_BRANCH, set_speculation, PR_SPEC_INDIRECT_BRANCH},
    {"L1D flush", get_speculation, PR_SPEC_L1D_FLUSH, set_speculation, PR_SPEC_L1D_FLUSH},
    {"core scheduling cookie", get_core_cookie, 0, set_never, 0},
    {"request-key keyring", get_request_keyring, 0, set_request_keyring, 0},
    {"Landlock rulesets", get_landlock, 0, set_never, 0},
    {"controlling terminal", get_terminal, 0, set_terminal, 0},
    {"unaligned access", get_unaligned, PR_GET_UNALIGN, set_plain, PR_SET_UNALIGN},
    {"SVE vector length", get_plain, PR_SVE_GET_VL, set_plain, PR_SVE_SET_VL},
    {"SME vector length", get_plain, 64, set_plain, 63}, /* PR_SME_GET_VL, PR_SME_SET_VL */
    {"vector control", get_plain, RISCV_VECTOR_GET, set_plain, RISCV_VECTOR_SET},
    {"floating point exceptions", get_unaligned, PR_GET_FPEXC, set_plain, PR_SET_FPEXC},
    {"endianness", get_unaligned, PR_GET_ENDIAN, set_plain, PR_SET_ENDIAN},
};

void attributes_read(long values[ATTRIBUTES]) {
    for (size_t i = 0; i < ATTRIBUTES; i++)
        values[i] = attributes[i].get(attributes[i].get_option);
}

void add_undone(char *undone, size_t room, const char *name) {
    size_t used = strlen(undone);
    snprintf(undone + used, room - used, "%s%s", used > 0 ? ", " : "", name);
}

int attributes_settle(struct context *context, const long before[ATTRIBUTES], char *undone, size_t room) {
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        const struct attribute *attribute = &attributes[i];
        long now = attribute->get(attribute->get_option);
        if (now == before[i])
            continue;
        if (attribute->set(attribute->set_option, before[i]) != 0 || attribute->get(attribute->get_option) != before[i])
            return refuse_without_errno(context, "loading changed what cannot be undone: %s is %ld, was %ld",
                                        attribute->name, now, before[i]);
        add_undone(undone, room, attribute->name);
    }
    /* Yama's exception for a tracer (PR_SET_PTRACER) cannot be read, so it is always cleared. */
    prctl(PR_SET_PTRACER, 0, 0, 0, 0);
    return 0;
}
