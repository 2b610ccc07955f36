/* The end of every plan: where the program is, waiting for `start`, and the execve. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What execve gets. All of it is ready before the filter of seccomp is loaded: behind it, execve alone must be allowed. */
static char program[PATH_MAX], home[PATH_MAX + 5];
static char **program_arguments, **environment;

static int make_directories(const char *path) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        memcpy(part, path, end);
        part[end] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

/* No link of procfs that leads to what a descriptor is open on: one that is still ours could be of the host, or of a
 * procfs without masks (CVE-2024-21626). */
static int enter(const char *path) {
    OWNED directory = resolve_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
    return directory >= 0 ? fchdir(directory) : -1;
}

int step_working_directory(struct context *context, const union argument *arguments) {
    const char *path = arguments[0].text.data;
    char where[PATH_MAX];
    if (enter(path) != 0 && (errno != ENOENT || arguments[1].number == 0 || make_directories(path) != 0 || enter(path) != 0))
        return refuse(context, "chdir to cwd (\"%s\")", path);
    /* Outside of the root, the kernel names it "(unreachable)". The raw call: libc would look for it itself. */
    if (syscall(SYS_getcwd, where, sizeof where) < 0 || where[0] != '/')
        return refuse_without_errno(context, "cwd \"%s\" is outside of the container's root", path);
    return 0;
}

/* 0, or the errno that says why `path` can't be executed (Go's exec.LookPath, whose words engines know). */
static int executable(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    /* The plain access() would ask for the real ids, and not for capabilities as execve does. */
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return errno;
    return (status.st_mode & 0111) != 0 ? 0 : EACCES;
}

static int find_in_path(struct context *context, const char *name, const char *path) {
    while (*path != '\0') {
        size_t length = strcspn(path, ":");
        int printed = snprintf(program, sizeof program, "%.*s/%s", length > 0 ? (int)length : 1, length > 0 ? path : ".", name);
        if (printed > 0 && (size_t)printed < sizeof program && executable(program) == 0)
            return 0;
        path += length + (path[length] == ':');
    }
    return refuse_without_errno(context, "exec: \"%s\": executable file not found in $PATH", name);
}

int step_find_program(struct context *context, const union argument *arguments) {
    const char *name = arguments[0].text.data;
    if (strchr(name, '/') == NULL)
        return find_in_path(context, name, arguments[1].text.data);
    if (strlen(name) >= sizeof program) {
        errno = ENAMETOOLONG;
        return refuse(context, "exec: \"%.64s...\"", name);
    }
    strcpy(program, name);
    errno = executable(name);
    if (errno == ENOENT)
        return refuse(context, "exec: \"%s\": stat %s", name, name);
    if (errno == EISDIR) {
        errno = EACCES; /* what execve says; Podman and Docker read exit status 126 out of its words */
        return refuse(context, "exec: \"%s\": is a directory", name);
    }
    return errno == 0 ? 0 : refuse(context, "exec: \"%s\"", name);
}

static void leave(int signal) { _exit(128 + signal); }

/* As init of a pid namespace we would be deaf to signals that have no handler (pid_namespaces(7)), and a created
 * container must die of SIGTERM. execve puts the handlers back. */
static void obey_signals(void) {
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &(struct sigaction){.sa_handler = leave}, NULL);
}

int step_await_start(struct context *context, const union argument *arguments) {
    (void)arguments;
    int listener = context->slots[SLOT_START], connection;
    char word;
    obey_signals();
    /* The runtime that created us leaves now; whoever connects is `start`, for only its user can reach the socket.
     * One that goes away before its word has started nothing. */
    close(context->channel);
    for (;;) {
        connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0 && errno != EINTR && errno != ECONNABORTED)
            return refuse(context, "accept on the start socket");
        if (connection >= 0 && recv(connection, &word, 1, 0) == 1 && word == 'G')
            break;
        if (connection >= 0)
            close(connection);
    }
    close(listener);
    context->answer = context->channel = connection;
    context->tracing = false; /* `start` has not asked for it */
    return 0;
}

int step_close_descriptors(struct context *context, const union argument *arguments) {
    (void)arguments;
    /* Closed by execve itself (Linux 5.11), so that a failure of it can still be told (CVE-2024-21626: nothing of
     * the host may be open in the user's process). */
    if (syscall(SYS_close_range, (unsigned)context->kept, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        return refuse(context, "close_range");
    return 0;
}

/* The home directory of a uid in the container's /etc/passwd, or "/" as login and runc say. */
static const char *home_of(uid_t uid) {
    static char line[1024];
    char number[16], *home = NULL;
    struct stat status;
    /* O_NONBLOCK and the check: the image may have put a FIFO there. */
    int descriptor = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        return "/";
    snprintf(number, sizeof number, "%u", (unsigned)uid);
    size_t used = 0;
    for (ssize_t got; home == NULL && (got = read(descriptor, line + used, sizeof line - 1 - used)) > 0;) {
        used += (size_t)got;
        char *begin = line, *end;
        while (home == NULL && (end = memchr(begin, '\n', used - (size_t)(begin - line))) != NULL) {
            *end = '\0';
            char *fields[7] = {begin};
            int count = 1;
            for (char *at = begin; *at != '\0' && count < 7; at++)
                if (*at == ':') {
                    *at = '\0';
                    fields[count++] = at + 1;
                }
            if (count >= 6 && strcmp(fields[2], number) == 0 && fields[5][0] == '/')
                home = fields[5];
            begin = end + 1;
        }
        used -= (size_t)(begin - line);
        if (home == NULL && used == sizeof line - 1)
            used = 0; /* a line that no passwd entry is as long as */
        else if (home == NULL)
            memmove(line, begin, used);
    }
    close(descriptor);
    return home != NULL ? home : "/";
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

int step_arguments(struct context *context, const union argument *arguments) {
    program_arguments = list_strings(&arguments[0].list);
    environment = list_strings(&arguments[1].list);
    if (program_arguments == NULL || environment == NULL)
        return refuse(context, "memory for the arguments");
    if (arguments[2].number >= 0) {
        size_t count = arguments[1].list.count;
        char **longer = realloc(environment, (count + 2) * sizeof *environment);
        if (longer == NULL)
            return refuse(context, "memory for the environment");
        environment = longer;
        snprintf(home, sizeof home, "HOME=%s", home_of((uid_t)arguments[2].number));
        environment[count] = home;
        environment[count + 1] = NULL;
    }
    restore_signals();
    return 0;
}

int step_execute(struct context *context, const union argument *arguments) {
    (void)arguments;
    execve(program, program_arguments, environment);
    return refuse(context, "exec %s", program);
}
