/* The end of every plan: the working directory, waiting for `start`, and the execve. */
#include "mounts.h"
#include "passwd.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The arguments of execve. All are ready before the seccomp filter is loaded, so the filter need allow only execve. */
static char home[5 + PATH_MAX];
static char **program_arguments, **environment;

/* Enters a directory, but not through a link of procfs such as /proc/self/fd/N (CVE-2024-21626). */
static int enter(const char *path) {
    OWNED directory = resolve_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
    return directory >= 0 ? fchdir(directory) : -1;
}

int step_make_working_directory(struct context *context, const struct step_make_working_directory *step) {
    OWNED directory = root_make(context, step->path.data, false);
    /* On NFS or in a user namespace the user may have access where root has none: `working-directory` decides. */
    if (directory < 0 && errno != EACCES && errno != EPERM)
        return refuse(context, "mkdir cwd (\"%s\")", step->path.data);
    return 0;
}

/* Appears twice in a plan: as root, and with `as_user`, which acts only if root was denied access. */
int step_working_directory(struct context *context, const struct step_working_directory *step) {
    static bool denied;
    char where[PATH_MAX];
    if (step->as_user != 0 && !denied)
        return 0;
    int result = enter(step->path.data);
    denied = result != 0 && step->as_user == 0 && (errno == EACCES || errno == EPERM);
    if (denied)
        return 0;
    if (result != 0)
        return refuse(context, "chdir to cwd (\"%s\")", step->path.data);
    /* For a directory outside of the root the kernel answers "(unreachable)...". The raw system call is used because
     * libc would then search for a path itself. */
    if (syscall(SYS_getcwd, where, sizeof where) < 0 || where[0] != '/')
        return refuse_without_errno(context, "cwd \"%s\" is outside of the container's root", step->path.data);
    return 0;
}

static void leave(int signal) { _exit(128 + signal); }

/* The init of a pid namespace does not receive signals that have no handler (pid_namespaces(7)), but SIGTERM must end a
 * created container. execve resets the handlers. */
static void obey_signals(void) {
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &(struct sigaction){.sa_handler = leave}, NULL);
}

int step_await_start(struct context *context) {
    int listener = context->slots[SLOT_START], connection;
    char word;
    obey_signals();
    /* The runtime's `create` exits now. A process that connects is `start`: only root, or the user who runs pyrunc, can
     * reach the socket. A process that disconnects before it has sent GO starts nothing. */
    close(context->channel);
    for (;;) {
        connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0 && errno != EINTR && errno != ECONNABORTED)
            return refuse(context, "accept on the start socket");
        if (connection >= 0 && recv(connection, &word, 1, 0) == 1 && word == MESSAGE_GO)
            break;
        if (connection >= 0)
            close(connection);
    }
    close(listener);
    context->answer = context->channel = connection;
    context->tracing = false; /* `start` does not trace */
    return 0;
}

/* Ignored signals and a blocked mask would outlive the execve. */
static void restore_signals(void) {
    static const unsigned char by_default[64]; /* struct sigaction of the kernel: SIG_DFL, no flags, empty mask */
    for (int number = 1; number < NSIG; number++) /* the raw system call: libc refuses 32 and 33 */
        syscall(SYS_rt_sigaction, number, by_default, NULL, (size_t)(NSIG / 8));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int step_arguments(struct context *context, const struct step_arguments *step) {
    program_arguments = list_strings(&step->args);
    environment = passwd_with_home(list_strings(&step->env), step->env.count, step->home_uid, home);
    if (program_arguments == NULL || environment == NULL)
        return refuse(context, "memory for the arguments");
    restore_signals();
    return 0;
}

int step_execute(struct context *context) {
    if (execute_hook(context))
        return -1;
    execve(program, program_arguments, environment);
    return refuse(context, "exec %s", program);
}
