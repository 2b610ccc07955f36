/* The process that loads the library. */
#include "probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Does not call libc: the tracer recognizes the probe's own calls by the address of the instruction. */
static long own_call(long number, long first, long second, long third) {
#if defined __x86_64__
    long result = number;
    __asm__ volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
    return result;
#else
    register long what __asm__("x8") = number, a __asm__("x0") = first, b __asm__("x1") = second, c __asm__("x2") = third;
    __asm__ volatile("svc 0" : "+r"(a) : "r"(what), "r"(b), "r"(c) : "memory");
    return a;
#endif
}

static void say(const char *format, ...) {
    char line[4400];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    own_call(MAGIC, WORD_TEXT, (long)line, (long)strlen(line));
}

static void describe(const char *when) {
    struct itimerval timer = {0};
    int subreaper = 0, death_signal = 0, tsc = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
    prctl(PR_GET_TSC, &tsc, 0, 0, 0);
    getitimer(ITIMER_REAL, &timer);
    const struct {
        const char *key;
        long value;
    } values[] = {
        {"securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)},
        {"dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)},
        {"timer slack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)},
        {"io priority", syscall(SYS_ioprio_get, 1, 0)},
        {"child subreaper", subreaper},
        {"parent death signal", death_signal},
        {"alarm", timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0},
        {"TSC access", tsc},
        {"machine check policy", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0)},
        {"memory deny write execute", prctl(66, 0, 0, 0, 0)}, /* PR_GET_MDWE */
        {"memory merging", prctl(68, 0, 0, 0, 0)},            /* PR_GET_MEMORY_MERGE */
        {"store bypass speculation", prctl(PR_GET_SPECULATION_CTRL, 0, 0, 0, 0)},
        {"indirect branch speculation", prctl(PR_GET_SPECULATION_CTRL, 1, 0, 0, 0)},
        {"L1D flush speculation", prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0)},
        {"session keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)},
        {"process keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0)},
        {"thread keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0)},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        say("%s\t%s\t%ld", when, values[i].key, values[i].value);
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
        say("%s\tenvironment\t%.4000s", when, *variable);
}

/* Mounts that the library makes end with the process. If the namespaces cannot be made, the report says so (it has no
 * line `fresh`), and loading goes on without them. */
static void fresh_namespaces(void) {
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        say("before\tfresh\tmount, ipc and uts");
}

/* Loads a filter: system calls that change nothing, by the table, run at full speed. All others, unknown numbers, and
 * calls by another architecture's entry (int 0x80) stop for the tracer. */
static int pick_calls(void) {
    static struct sock_filter program[1024];
    size_t at = 0, quiet = 0;
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < call_count; i++) {
        if (calls[i].class == 'C')
            continue;
        program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, 0, 1);
        program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        quiet++;
    }
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog filter = {(unsigned short)at, program};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0)
        return 0;
    /* Without CAP_SYS_ADMIN (seccomp(2)). Set-user-id programs that the library runs then gain no privileges. */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) : -1;
}

static void finish(void) {
    fflush(stdout);
    describe("after");
    own_call(MAGIC, WORD_AFTER, 0, 0);
    own_call(MAGIC, WORD_ENDING, 0, 0);
    exit(0); /* runs exit handlers and destructors, which are part of the report */
}

static void load_here(const char *path) {
    struct timespec begin, end;
    describe("before");
    own_call(MAGIC, WORD_BEFORE, 0, 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (library != NULL)
        say("loaded\t%lld", (long long)(end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec);
    else
        say("failed\t%s", dlerror());
    finish();
}

void load(const char *at, const char *path, int traced) {
    char byte;
    /* A separate session: signals to the process group do not reach pyrunc. */
    setsid();
    /* Without a tracer the calls that the filter picks would fail (seccomp(2)), and no tracer would report them. */
    if (read(traced, &byte, 1) != 1 || pick_calls() != 0)
        _exit(3);
    close(traced);
    fresh_namespaces();
    if (strcmp(at, "exec") != 0)
        load_here(path);
    char *argv[] = {(char *)(uintptr_t)"pyrunc-probe", (char *)(uintptr_t)"ready", (char *)(uintptr_t)path, NULL};
    own_call(SYS_execve, (long)"/proc/self/exe", (long)argv, (long)environ);
    _exit(3);
}

/* Both descriptions are of a program that was just executed, so that every difference is the library's. */
void ready(const char *path) {
    char *argv[] = {(char *)(uintptr_t)"pyrunc-probe", (char *)(uintptr_t)"loaded", (char *)(uintptr_t)path, NULL};
    unsetenv("LD_PRELOAD");
    describe("before");
    fcntl(LIBRARY, F_SETFD, 0);
    if (setenv("LD_PRELOAD", path, 1) != 0)
        _exit(3);
    own_call(MAGIC, WORD_BEFORE, 0, 0);
    own_call(SYS_execve, (long)"/proc/self/exe", (long)argv, (long)environ);
    _exit(3);
}

void loaded(const char *path) {
    const char *preload = getenv("LD_PRELOAD");
    say("loaded\t0");
    if (preload != NULL && strcmp(preload, path) == 0)
        unsetenv("LD_PRELOAD");
    finish();
    _exit(0);
}
