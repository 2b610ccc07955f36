/* The tracer: reports what the processes do, and requests their inspection from outside. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRACEES = 1024 };

static struct tracee tracees[TRACEES];
static FILE *report;
static pid_t loader;
static const char *phase = "setup";
static bool waiting; /* the loading process is stopped until an answer arrives on CHANNEL */

extern char __executable_start, etext; /* defined by the linker: the probe's own code, not position-independent */

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

static bool is_ours(uint64_t at) { return at >= (uint64_t)(uintptr_t)&__executable_start && at < (uint64_t)(uintptr_t)&etext; }

static void report_call(struct tracee *who, long result) {
    if (who->call != NULL && strcmp(phase, "setup") != 0)
        fprintf(report, "call\t%d\t%s\t%s\t%ld\t%s\n", (int)who->pid, phase, who->call, result, who->detail);
    who->call = NULL;
    fflush(report);
}

/* Handles a message from the probe's own code in the loading process. True if the process must stay stopped. */
static bool hear(const uint64_t *arguments) {
    char text[4400] = {0}, message[1 + sizeof loader] = {arguments[0] == WORD_BEFORE ? 'B' : 'A'};
    switch (arguments[0]) {
    case WORD_TEXT:
        peek(loader, arguments[1], text, arguments[2] < sizeof text ? (size_t)arguments[2] : sizeof text - 1);
        for (char *at = text; *at != '\0'; at++)
            if (*at != '\t' && ((unsigned char)*at < ' ' || *at == 127))
                *at = '?';
        fprintf(report, "%s\n", text);
        fflush(report);
        return false;
    case WORD_ENDING:
        phase = "ending";
        return false;
    default:
        phase = arguments[0] == WORD_BEFORE ? "constructor" : "running";
        memcpy(message + 1, &loader, sizeof loader);
        if (send(CHANNEL, message, sizeof message, MSG_NOSIGNAL) < 0)
            _exit(1);
        waiting = true;
        return true;
    }
}

/* Handles a stop of `who` before a system call. Returns how to go on: PTRACE_CONT, PTRACE_SYSCALL to stop at the
 * result, or 0 to keep the process stopped. */
static int look_at_call(struct tracee *who) {
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, who->pid, sizeof info, &info) <= 0)
        return PTRACE_CONT;
    if (who->pid == loader && is_ours(info.instruction_pointer)) {
        if (info.seccomp.nr == MAGIC)
            return hear(info.seccomp.args) ? 0 : PTRACE_CONT;
        if (info.seccomp.nr == (uint64_t)SYS_execve)
            return PTRACE_CONT; /* the probe's own execve of the program that loads */
    }
    note(who, &info);
    return who->call != NULL ? PTRACE_SYSCALL : PTRACE_CONT;
}

static void look_at_child(struct tracee *who) {
    unsigned long child = 0;
    char path[64];
    ptrace(PTRACE_GETEVENTMSG, who->pid, 0, &child);
    snprintf(path, sizeof path, "/proc/%d/task/%lu", (int)who->pid, child);
    fprintf(report, "%s\t%d\t%lu\t%s\n", access(path, F_OK) == 0 ? "thread" : "fork", (int)who->pid, child, phase);
    fflush(report);
}

static void go_on(pid_t pid, int status) {
    struct __ptrace_syscall_info info = {0};
    struct tracee *who = find(pid);
    int signal_ = WSTOPSIG(status), event = status >> 16, request = PTRACE_CONT;
    if (who == NULL) { /* too many processes to follow: continued, because its calls would fail untraced */
        ptrace(PTRACE_CONT, pid, 0, 0);
        return;
    }
    if (signal_ == (SIGTRAP | 0x80)) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_EXIT)
            report_call(who, (long)info.exit.rval);
        signal_ = 0;
    } else if (event == PTRACE_EVENT_SECCOMP) {
        request = look_at_call(who);
        signal_ = 0;
    } else if (event == PTRACE_EVENT_STOP) {
        if (signal_ != SIGTRAP) /* stopped by a signal: continued, to see what the process does next */
            fprintf(report, "stopped\t%d\t%d\n", (int)pid, signal_);
        signal_ = 0;
    } else if (event != 0) {
        if (event == PTRACE_EVENT_EXEC)
            report_call(who, 0);
        else
            look_at_child(who);
        signal_ = 0;
    }
    if (request != 0)
        ptrace((enum __ptrace_request)request, pid, 0, signal_);
}

/* Handles every pending stop and end. False if no traced process is left. */
static bool reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
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
            waiting = false;
            shutdown(CHANNEL, SHUT_WR); /* after the report is complete: pyrunc reads it at end of file */
        }
    }
    return pid == 0 || errno == EINTR;
}

void trace(pid_t pid, FILE *to) {
    sigset_t children;
    char answer;
    loader = pid;
    report = to;
    fcntl(CHANNEL, F_SETFD, FD_CLOEXEC);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    struct pollfd polled[] = {{signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), POLLIN, 0}, {CHANNEL, POLLIN, 0}};
    struct signalfd_siginfo one;
    while (reap()) {
        if (poll(polled, 2, -1) < 0)
            continue;
        while (read(polled[0].fd, &one, sizeof one) == sizeof one)
            ;
        if (polled[1].revents == 0)
            continue;
        if (recv(CHANNEL, &answer, 1, 0) != 1)
            return; /* pyrunc has exited; EXITKILL ends the traced processes with the tracer */
        if (waiting)
            ptrace(PTRACE_CONT, loader, 0, 0);
        waiting = false;
    }
}
