/* `pyrunc audit-lib` loads a library in this: pyrunc-probe MOMENT PATH, where MOMENT is `init` (dlopen(3)) or `exec` (the
 * loader maps it, LD_PRELOAD). It writes to descriptor 5 what the library did, a line each, in fields between tabs:
 *
 *   call PID PHASE NAME RESULT DETAIL   a system call that changes something, by the process or one that it forked
 *   fork PID CHILD PHASE                a process; `thread` likewise
 *   before|after KEY VALUE              what the process only can say of itself
 *   loaded NANOSECONDS | failed REASON
 *   stopped PID SIGNAL                  by a signal that stops; it was continued
 *   ended WAIT_STATUS                   the process that loaded
 *
 * PHASE is `constructor`, `running` (it left threads or processes) or `ending` (exit handlers and destructors). On
 * descriptor 3 the tracer says when to look at the process from outside: `B` and its pid, before; `A` after; it goes on when
 * there is an answer. What a system call changes stands in pyrunc/hostile/syscalls.py. */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

const struct call calls[] = {
#define CALL(name, class, how, number) {#name, class, how, number},
#include "calls.h"
#undef CALL
};
const size_t call_count = sizeof calls / sizeof *calls;

/* EXITKILL: all that the library forked ends with us. */
enum {
    EVENTS = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP,
    OPTIONS = EVENTS | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL
};

static int begin(const char *at, const char *path) {
    FILE *report = fdopen(REPORT, "a");
    int traced[2];
    if (report == NULL || pipe2(traced, O_CLOEXEC) != 0)
        return 2;
    pid_t loader = fork();
    if (loader < 0)
        return 2;
    if (loader == 0) {
        close(traced[1]);
        close(CHANNEL);
        close(REPORT);
        load(at, path, traced[0]);
    }
    close(traced[0]);
    close(LIBRARY);
    if (ptrace(PTRACE_SEIZE, loader, 0, OPTIONS) == 0)
        (void)!write(traced[1], "t", 1);
    close(traced[1]);
    trace(loader, report);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "loaded") == 0)
        loaded(argv[2]);
    if (argc > 2 && strcmp(argv[1], "ready") == 0)
        ready(argv[2]);
    return argc > 2 ? begin(argv[1], argv[2]) : 2;
}
