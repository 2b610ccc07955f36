/* `pyrunc audit-lib` loads a library in this: pyrunc-probe loads what descriptor 4 is, and writes to descriptor 5 what it
 * did meanwhile, a line each, in fields between tabs:
 *
 *   call PID NAME RESULT DETAIL    a system call that leaves something behind, by the process or one it forked
 *   fork PID CHILD                 a process; `thread` likewise
 *   before|after KEY VALUE         what the process only can say of itself
 *   loaded NANOSECONDS | failed REASON
 *   ended WAIT_STATUS              when it did before it could say so
 *
 * On descriptor 3 it says when to look at it from outside: `B` and its pid, before; `A` after; it waits for an answer to
 * each. The tracer sees only the calls that a seccomp filter picks out: everything else runs at full speed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 3, LIBRARY = 4, REPORT = 5, TRACEES = 1024 };
/* EXITKILL: whatever the library forked ends with us. */
enum {
    EVENTS = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP,
    OPTIONS = EVENTS | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL
};

extern char **environ;

/* How the arguments of a call are told: P path; D directory descriptor and path; O the same with flags; S socket
 * address; K pid and signal; N numbers only. The digit is the first argument that counts. */
static const struct {
    const char *name, *how;
    long number;
} calls[] = {
#define CALL(name, how) {#name, how, SYS_##name}
#ifdef SYS_open
    CALL(open, "o0"), CALL(creat, "P0"), CALL(mkdir, "P0"), CALL(rmdir, "P0"), CALL(unlink, "P0"), CALL(rename, "P1"),
    CALL(symlink, "P1"), CALL(link, "P1"), CALL(mknod, "P0"), CALL(chmod, "P0"), CALL(chown, "P0"), CALL(lchown, "P0"),
#endif
#ifdef SYS_renameat
    CALL(renameat, "D2"),
#endif
    CALL(openat, "O0"), CALL(openat2, "H0"), CALL(mkdirat, "D0"), CALL(unlinkat, "D0"), CALL(renameat2, "D2"),
    CALL(symlinkat, "D1"), CALL(linkat, "D2"), CALL(mknodat, "D0"), CALL(fchmodat, "D0"), CALL(fchownat, "D0"),
    CALL(truncate, "P0"), CALL(setxattr, "P0"), CALL(connect, "S1"), CALL(bind, "S1"), CALL(sendto, "S4"),
    CALL(execve, "P0"), CALL(kill, "K0"), CALL(mount, "P1"), CALL(umount2, "P0"), CALL(move_mount, "D2"),
    CALL(pivot_root, "P0"), CALL(chroot, "P0"), CALL(sethostname, "P0"), CALL(unshare, "N0"), CALL(setns, "N0"),
    CALL(add_key, "P1"), CALL(ptrace, "N0"), CALL(bpf, "N0"), CALL(init_module, "N0"), CALL(finit_module, "N0"),
    CALL(swapon, "P0"), CALL(settimeofday, "N0"), CALL(clock_settime, "N0"), CALL(reboot, "N0"),
#undef CALL
};
enum { CALLS = sizeof calls / sizeof *calls };

static FILE *report;

/* One line of the report can't be forged by a name in it. */
static void clean(char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = '?';
}

/* -- the process that loads ------------------------------------------------------------------------------------- */

static void say(const char *when, const char *key, long value) { fprintf(report, "%s\t%s\t%ld\n", when, key, value); }

static void describe(const char *when) {
    struct itimerval timer = {0};
    int subreaper = 0, death_signal = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
    getitimer(ITIMER_REAL, &timer);
    say(when, "securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    say(when, "dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    say(when, "timer slack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
    say(when, "io priority", syscall(SYS_ioprio_get, 1, 0));
    say(when, "child subreaper", subreaper);
    say(when, "parent death signal", death_signal);
    say(when, "alarm", timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0);
    say(when, "session keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
    say(when, "process keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0));
    say(when, "thread keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0));
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        char text[4096];
        snprintf(text, sizeof text, "%s", *variable);
        clean(text);
        fprintf(report, "%s\tenvironment\t%s\n", when, text);
    }
    fflush(report);
}

static void meet(char what) {
    char message[1 + sizeof(pid_t)] = {what}, answer;
    pid_t pid = getpid();
    memcpy(message + 1, &pid, sizeof pid);
    if (send(CHANNEL, message, sizeof message, MSG_NOSIGNAL) < 0 || recv(CHANNEL, &answer, 1, 0) != 1)
        _exit(1);
}

/* Mounts that the library makes go with the process. Whatever is not allowed is told, and done without. */
static void fresh_namespaces(void) {
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) == 0 &&
        mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0)
        fputs("before\tfresh\tmount, ipc and uts\n", report);
}

static int pick_calls(void) {
    struct sock_filter program[CALLS + 3];
    size_t at = 0;
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++)
        program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number,
                                                     (unsigned char)(CALLS - i), 0);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog filter = {(unsigned short)at, program};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0)
        return 0;
    /* Without CAP_SYS_ADMIN (seccomp(2)); a library that runs set-user-id programs then sees them fail. */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) : -1;
}

static void load(int traced) {
    struct timespec begin, end;
    char path[32];
    fresh_namespaces();
    /* Until the tracer has us; without one, the calls that the filter picks would fail (seccomp(2)). */
    if (read(traced, path, 1) != 1 || pick_calls() != 0)
        fputs("before\tuntraced\t1\n", report);
    close(traced);
    snprintf(path, sizeof path, "/proc/self/fd/%d", LIBRARY);
    describe("before");
    meet('B');
    clock_gettime(CLOCK_MONOTONIC, &begin);
    void *loaded = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    fflush(stdout);
    if (loaded != NULL)
        fprintf(report, "loaded\t%lld\n",
                (long long)(end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec);
    else
        fprintf(report, "failed\t%s\n", dlerror());
    describe("after");
    meet('A');
    _exit(0);
}

/* -- the tracer ------------------------------------------------------------------------------------------------- */

struct tracee {
    pid_t pid;
    const char *call; /* NULL unless it is in one */
    char detail[PATH_MAX + 128];
};
static struct tracee tracees[TRACEES];

static struct tracee *find(pid_t pid) {
    struct tracee *free_ = NULL;
    for (size_t i = 0; i < TRACEES; i++) {
        if (tracees[i].pid == pid)
            return &tracees[i];
        if (free_ == NULL && tracees[i].pid == 0)
            free_ = &tracees[i];
    }
    if (free_ != NULL)
        *free_ = (struct tracee){.pid = pid};
    return free_;
}

static size_t peek(pid_t pid, uint64_t address, void *to, size_t size) {
    struct iovec ours = {to, size}, theirs = {(void *)(uintptr_t)address, size};
    ssize_t got = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
    return got < 0 ? 0 : (size_t)got;
}

/* Page by page: the string may end right before memory that is not there. */
static void peek_text(pid_t pid, uint64_t address, char *text, size_t size) {
    enum { PAGE = 4096 };
    size_t got = 0;
    while (got < size - 1) {
        size_t room = PAGE - (size_t)((address + got) % PAGE), wanted = room < size - 1 - got ? room : size - 1 - got;
        size_t more = peek(pid, address + got, text + got, wanted);
        if (memchr(text + got, '\0', more) != NULL)
            return;
        got += more;
        if (more < wanted)
            break;
    }
    text[got] = '\0';
}

/* The path from the root where it is told from a directory. */
static void full_path(pid_t pid, int directory, uint64_t address, char *text, size_t size) {
    char link[64], base[PATH_MAX], path[PATH_MAX];
    peek_text(pid, address, path, sizeof path);
    if (path[0] == '/') {
        snprintf(text, size, "%s", path);
        return;
    }
    if (directory == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    else
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, directory);
    ssize_t length = readlink(link, base, sizeof base - 1);
    base[length < 0 ? 0 : length] = '\0';
    snprintf(text, size, "%.2000s/%.2000s", base, path);
}

static void socket_address(pid_t pid, uint64_t address, uint64_t size, char *text, size_t room) {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        char bytes[sizeof(struct sockaddr_storage)];
    } to = {0};
    char shown[INET6_ADDRSTRLEN];
    size_t got = address == 0 ? 0 : peek(pid, address, &to, size < sizeof to ? (size_t)size : sizeof to);
    if (got < sizeof to.any.sa_family)
        text[0] = '\0';
    else if (to.any.sa_family == AF_UNIX && to.local.sun_path[0] == '\0')
        snprintf(text, room, "unix:@%.*s", (int)(got > 3 ? got - 3 : 0), to.local.sun_path + 1);
    else if (to.any.sa_family == AF_UNIX)
        snprintf(text, room, "unix:%.*s", (int)sizeof to.local.sun_path, to.local.sun_path);
    else if (to.any.sa_family == AF_INET)
        snprintf(text, room, "%s:%u", inet_ntop(AF_INET, &to.four.sin_addr, shown, sizeof shown), ntohs(to.four.sin_port));
    else if (to.any.sa_family == AF_INET6)
        snprintf(text, room, "[%s]:%u", inet_ntop(AF_INET6, &to.six.sin6_addr, shown, sizeof shown), ntohs(to.six.sin6_port));
    else
        snprintf(text, room, "family %d", to.any.sa_family);
}

static bool writes(uint64_t flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0; }

static void note_open(struct tracee *who, const uint64_t *arguments, uint64_t flags, bool at) {
    if (!writes(flags)) {
        who->call = NULL;
        return;
    }
    char path[PATH_MAX + 64];
    full_path(who->pid, at ? (int)arguments[0] : AT_FDCWD, arguments[at ? 1 : 0], path, sizeof path);
    snprintf(who->detail, sizeof who->detail, "%s%s", path, (flags & O_CREAT) != 0 ? " (create)" : "");
}

/* What the call is about, taken before it is done: behind it the memory may be another program's. */
static void note(struct tracee *who, const struct __ptrace_syscall_info *info) {
    uint64_t arguments[6];
    memcpy(arguments, info->seccomp.args, sizeof arguments);
    const char *how = NULL;
    who->call = NULL;
    for (size_t i = 0; i < CALLS && how == NULL; i++)
        if (calls[i].number == (long)info->seccomp.nr) {
            who->call = calls[i].name;
            how = calls[i].how;
        }
    if (how == NULL)
        return;
    const uint64_t *first = arguments + (how[1] - '0');
    uint64_t flags = 0;
    who->detail[0] = '\0';
    if (how[0] == 'P')
        full_path(who->pid, AT_FDCWD, first[0], who->detail, sizeof who->detail);
    else if (how[0] == 'D')
        full_path(who->pid, (int)first[0], first[1], who->detail, sizeof who->detail);
    else if (how[0] == 'o')
        note_open(who, arguments, arguments[1], false);
    else if (how[0] == 'O')
        note_open(who, arguments, arguments[2], true);
    else if (how[0] == 'H' && peek(who->pid, arguments[2], &flags, sizeof flags) == sizeof flags)
        note_open(who, arguments, flags, true);
    else if (how[0] == 'S')
        socket_address(who->pid, first[0], first[1], who->detail, sizeof who->detail);
    else if (how[0] == 'K')
        snprintf(who->detail, sizeof who->detail, "signal %d to %d", (int)first[1], (int)first[0]);
    else
        snprintf(who->detail, sizeof who->detail, "%#llx", (unsigned long long)first[0]);
    clean(who->detail);
}

static void tell(struct tracee *who, long result) {
    if (who->call != NULL)
        fprintf(report, "call\t%d\t%s\t%ld\t%s\n", (int)who->pid, who->call, result, who->detail);
    who->call = NULL;
    fflush(report);
}

/* A stop of `who` for event or system call; with what to go on: PTRACE_CONT, or PTRACE_SYSCALL up to its result. */
static int look(struct tracee *who, int event) {
    struct __ptrace_syscall_info info = {0};
    unsigned long child = 0;
    if (event == PTRACE_EVENT_SECCOMP && ptrace(PTRACE_GET_SYSCALL_INFO, who->pid, sizeof info, &info) > 0) {
        note(who, &info);
        return who->call != NULL ? PTRACE_SYSCALL : PTRACE_CONT;
    }
    if (event == PTRACE_EVENT_EXEC) {
        tell(who, 0);
    } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        ptrace(PTRACE_GETEVENTMSG, who->pid, 0, &child);
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task/%lu", (int)who->pid, child);
        fprintf(report, "%s\t%d\t%lu\n", access(path, F_OK) == 0 ? "thread" : "fork", (int)who->pid, child);
        fflush(report);
    }
    return PTRACE_CONT;
}

static void go_on(pid_t pid, int status) {
    struct __ptrace_syscall_info info = {0};
    struct tracee *who = find(pid);
    int signal_ = WSTOPSIG(status), event = status >> 16, request = PTRACE_CONT;
    if (who == NULL) { /* more than we can follow: without us its calls would fail */
        ptrace(PTRACE_CONT, pid, 0, 0);
        return;
    }
    if (signal_ == (SIGTRAP | 0x80)) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_EXIT)
            tell(who, (long)info.exit.rval);
        signal_ = 0;
    } else if (event != 0) {
        request = look(who, event);
        signal_ = 0;
    }
    ptrace((enum __ptrace_request)request, pid, 0, signal_);
}

static void trace(pid_t loader) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (pid <= 0)
            continue;
        if (WIFSTOPPED(status)) {
            go_on(pid, status);
            continue;
        }
        struct tracee *who = find(pid);
        if (who != NULL)
            who->pid = 0;
        if (pid == loader) {
            fprintf(report, "ended\t%d\n", status);
            fflush(report);
            close(CHANNEL); /* the end of file comes behind the report */
        }
    }
}

int main(void) {
    report = fdopen(REPORT, "a");
    if (report == NULL)
        return 2;
    fcntl(CHANNEL, F_SETFD, FD_CLOEXEC);
    fcntl(REPORT, F_SETFD, FD_CLOEXEC);
    fcntl(LIBRARY, F_SETFD, FD_CLOEXEC);
    int traced[2];
    if (pipe2(traced, O_CLOEXEC) != 0)
        return 2;
    pid_t loader = fork();
    if (loader < 0)
        return 2;
    if (loader == 0) {
        close(traced[1]);
        load(traced[0]);
    }
    close(traced[0]);
    if (ptrace(PTRACE_SEIZE, loader, 0, OPTIONS) == 0)
        (void)!write(traced[1], "t", 1);
    close(traced[1]);
    trace(loader);
    return 0;
}
