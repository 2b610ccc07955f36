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

/* What execve gets. All of it is ready before the filter of seccomp is loaded, which need allow nothing but execve. */
static char home[5 + PATH_MAX];
static char **program_arguments, **environment;

/* No link of procfs that leads to what a descriptor is open on (CVE-2024-21626). */
static int enter(const char *path) {
    OWNED directory = resolve_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
    return directory >= 0 ? fchdir(directory) : -1;
}

int step_make_working_directory(struct context *context, const struct step_make_working_directory *step) {
    OWNED directory = root_make(context, step->path.data, false);
    /* What root may not look at, on NFS or in a user namespace, the user may: `working-directory` tells. */
    if (directory < 0 && errno != EACCES && errno != EPERM)
        return refuse(context, "mkdir cwd (\"%s\")", step->path.data);
    return 0;
}

/* Twice in a plan: as root, and `as_user` where root was denied it. */
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
    /* Outside of the root, the kernel names it "(unreachable)". The raw call: libc would look for it itself. */
    if (syscall(SYS_getcwd, where, sizeof where) < 0 || where[0] != '/')
        return refuse_without_errno(context, "cwd \"%s\" is outside of the container's root", step->path.data);
    return 0;
}

static void leave(int signal) { _exit(128 + signal); }

/* As init of a pid namespace we would be deaf to signals that have no handler (pid_namespaces(7)), and a created
 * container must die of SIGTERM. execve puts the handlers back. */
static void obey_signals(void) {
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &(struct sigaction){.sa_handler = leave}, NULL);
}

int step_await_start(struct context *context) {
    int listener = context->slots[SLOT_START], connection;
    char word;
    obey_signals();
    /* The runtime that created us exits now. A process that connects is `start`: only root, or the user who runs
     * pyrunc, can reach the socket. One that disconnects before it has sent GO starts nothing. */
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
    context->tracing = false; /* `start` has not asked for it */
    return 0;
}

/* Ignored signals and a blocked mask would outlive the execve. */
static void restore_signals(void) {
    static const unsigned char by_default[64]; /* struct sigaction of the kernel: SIG_DFL, no flags, empty mask */
    for (int number = 1; number < NSIG; number++) /* the raw call: libc keeps 32 and 33 to itself */
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
