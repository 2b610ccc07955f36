/* `pyrunc audit-lib` executes this program to load a library: pyrunc-probe MOMENT PATH, where MOMENT is `init`
 * (dlopen(3)) or `exec` (LD_PRELOAD). It reports to descriptor 5 what the library did, one line each, with fields
 * separated by tabs:
 *
 *   call PID PHASE NAME RESULT DETAIL   a system call that changes something, by the process or one that it forked
 *   fork PID CHILD PHASE                a process; `thread` likewise
 *   before|after KEY VALUE              an attribute that only the process itself can read
 *   loaded NANOSECONDS | failed REASON
 *   stopped PID SIGNAL                  a signal stopped the process, and the tracer continued it
 *   ended WAIT_STATUS                   the process that loaded has ended
 *
 * PHASE is `constructor`, `running` (it left threads or processes) or `ending` (exit handlers and destructors). On
 * descriptor 3 the tracer requests that pyrunc inspect the process from outside: `B` and the pid before loading, `A`
 * and the pid after it. The tracer waits for the answer. pyrunc/hostile/syscalls.py says what each call changes. */
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

/* EXITKILL: every process that the library forked ends with the tracer. */
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
