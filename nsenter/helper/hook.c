/* Hooks that run in the container's namespaces: createContainer, startContainer (runtime-spec config.md
 * "POSIX-platform Hooks"). */
#include "mounts.h"
#include "passwd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 512 /* last bytes of the hook's standard error, for the message */ };

static char home[5 + PATH_MAX]; /* HOME=... of the running hook */

/* Writes the state to a file, not a pipe: a hook that does not read it can neither block nor kill the helper. */
static int open_state(struct context *context, const struct text *head, const struct text *tail) {
    char pid[16];
    int length = snprintf(pid, sizeof pid, "%d", (int)getpid());
    const struct iovec parts[] = {
        {(void *)(uintptr_t)head->data, head->size},
        {pid, (size_t)length},
        {(void *)(uintptr_t)tail->data, tail->size},
    };
    int state = memfd_create("state", MFD_CLOEXEC);
    if (state >= 0 && writev(state, parts, 3) == (ssize_t)(head->size + (size_t)length + tail->size) &&
        lseek(state, 0, SEEK_SET) == 0)
        return state;
    close_owned(&state);
    return refuse(context, "write the state for a hook");
}

/* Sets the hook's working directory: the container's root by descriptor, or a directory by name. Returns an errno
 * or 0. */
static int add_directory(posix_spawn_file_actions_t *actions, int root, const char *directory) {
    return *directory == '\0' && root >= 0 ? posix_spawn_file_actions_addfchdir_np(actions, root)
                                           : posix_spawn_file_actions_addchdir_np(actions, *directory != '\0' ? directory : "/");
}

/* Returns an errno, or 0. The hook's standard error is the descriptor `words`. */
static int spawn(pid_t *pid, const struct step_hook *step, char **args, char **env, int root, int state, int words) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    /* By now /dev/null is the container's: it may be missing, or a file of any type. */
    OWNED null = open("/dev/null", O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int output = null >= 0 && is_device(null, 1, 3) ? null : words;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    if ((error = posix_spawnattr_init(&attributes)) == 0) {
        /* A separate process group, so that a timeout ends all of it; default handlers and an empty signal mask. */
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        if ((error = posix_spawn_file_actions_adddup2(&actions, state, 0)) == 0 &&
            (error = posix_spawn_file_actions_adddup2(&actions, output, 1)) == 0 &&
            (error = posix_spawn_file_actions_adddup2(&actions, words, 2)) == 0 &&
            (error = add_directory(&actions, root, step->directory.data)) == 0 &&
            (error = posix_spawn_file_actions_addclosefrom_np(&actions, 3)) == 0)
            error = posix_spawn(pid, step->path.data, &actions, &attributes, args, env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Reads from the pipe and keeps the last KEPT bytes in `words`, as one line. False at end of file. */
static bool listen_to(int pipe_, char words[KEPT + 1]) {
    char piece[KEPT];
    ssize_t got = read(pipe_, piece, sizeof piece);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    size_t held = strlen(words), size = (size_t)got, dropped = held + size > KEPT ? held + size - KEPT : 0;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)piece[i] < ' ')
            piece[i] = ' ';
    memmove(words, words + dropped, held - dropped);
    memcpy(words + held - dropped, piece, size);
    words[held - dropped + size] = '\0';
    return true;
}

static int64_t milliseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Waits until the hook itself has ended, even if a descendant still runs. False if `timeout` seconds passed first. */
static bool wait_for(int process, int pipe_, int64_t timeout, char words[KEPT + 1]) {
    struct pollfd polled[2] = {{.fd = process, .events = POLLIN}, {.fd = pipe_, .events = POLLIN}};
    int64_t end = timeout > 0 && timeout < INT64_MAX / 2000 ? milliseconds() + timeout * 1000 : INT64_MAX;
    /* After the hook's end its output is still in the pipe. The number of reads is limited: a descendant may write for
     * ever. */
    for (int after_its_end = 0; after_its_end < (1 << 16) / KEPT;) {
        int64_t left = end == INT64_MAX ? -1 : end - milliseconds();
        if (end != INT64_MAX && left <= 0)
            return false;
        if (poll(polled, 2, left > INT_MAX ? INT_MAX : (int)left) <= 0)
            continue;
        if (polled[0].revents != 0)
            after_its_end++;
        if (polled[1].revents == 0 && polled[0].revents != 0)
            break;
        if (polled[1].revents != 0 && !listen_to(pipe_, words))
            polled[1].fd = -1;
    }
    return true;
}

static int judge(struct context *context, const char *path, int status, int64_t timed_out_after, char words[KEPT + 1]) {
    char *begin = words + strspn(words, " "), *end = begin + strlen(begin);
    while (end > begin && end[-1] == ' ')
        *--end = '\0';
    const char *colon = *begin != '\0' ? ": " : "";
    if (timed_out_after > 0)
        return refuse_without_errno(
            context, "hook %s: timed out after %lld s%s%s", path, (long long)timed_out_after, colon, begin);
    if (WIFSIGNALED(status))
        return refuse_without_errno(context, "hook %s: signal %d%s%s", path, WTERMSIG(status), colon, begin);
    if (WEXITSTATUS(status) != 0)
        return refuse_without_errno(context, "hook %s: exit status %d%s%s", path, WEXITSTATUS(status), colon, begin);
    return 0;
}

/* Opens the pipe for a hook's standard error. The helper's end is polled; the hook's end blocks, because a hook does
 * not expect EAGAIN. */
static int open_words(struct context *context, int ends[2]) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return refuse(context, "pipe");
    fcntl(ends[1], F_SETFL, 0);
    return 0;
}

/* Waits for the hook, a child process that leads its process group, and kills the group after its timeout. */
static int await(struct context *context, const char *path, pid_t pid, int from, int64_t timeout) {
    char words[KEPT + 1] = "";
    int status = 0;
    OWNED process = (int)syscall(SYS_pidfd_open, pid, 0);
    bool ended = process >= 0 && wait_for(process, from, timeout, words);
    if (!ended)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (process < 0)
        return refuse(context, "hook %s: pidfd_open", path);
    return judge(context, path, status, ended ? 0 : timeout, words);
}

static int run(struct context *context, const struct step_hook *step, char **args, char **env) {
    const char *path = step->path.data;
    int ends[2];
    pid_t pid;
    OWNED state = open_state(context, &step->state_head, &step->state_tail);
    if (state < 0 || open_words(context, ends) != 0)
        return -1;
    OWNED from = ends[0];
    OWNED words_end = ends[1];
    errno = spawn(&pid, step, args, env, context->root, state, words_end);
    if (errno != 0)
        return refuse(context, "hook %s: exec", path);
    close(words_end);
    words_end = -1;
    return await(context, path, pid, from, step->timeout);
}

int step_hook(struct context *context, const struct step_hook *step) {
    signal(SIGCHLD, SIG_DFL); /* if the caller ignored it, the kernel would discard the exit status */
    char **args = list_strings(&step->args);
    char **env = passwd_with_home(list_strings(&step->env), step->env.count, step->home_uid, home);
    bool enough = args != NULL && env != NULL;
    int result = enough ? run(context, step, args, env) : refuse(context, "memory for a hook");
    free(args);
    free(env);
    return result;
}

/* The child process of step hook-confined; is_hook is true in the process that becomes the hook. */
static struct {
    bool is_hook;
    uint32_t step;
    char **args, **env;
    const char *path;
} confined;

/* In the child process: sets its streams, process group and directory, and closes every other descriptor. */
static int prepare(struct context *context, const struct step_hook_confined *step, int state, int words) {
    OWNED null = open("/dev/null", O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int output = null >= 0 && is_device(null, 1, 3) ? null : words;
    int kept[] = {context->channel};
    setpgid(0, 0); /* so that a timeout ends the whole group */
    if (dup2(state, 0) < 0 || dup2(output, 1) < 0 || dup2(words, 2) < 0)
        return refuse(context, "hook %s: dup2", step->path.data);
    close_except(3, kept, 1);
    null = -1;
    if (chdir(step->directory.data) != 0)
        return refuse(context, "hook %s: chdir %s", step->path.data, step->directory.data);
    context->tracing = false;
    confined.is_hook = true;
    confined.step = context->step;
    confined.path = step->path.data;
    confined.args = list_strings(&step->args);
    confined.env = passwd_with_home(list_strings(&step->env), step->env.count, step->home_uid, home);
    return confined.args != NULL && confined.env != NULL ? 0 : refuse(context, "memory for a hook");
}

bool execute_hook(struct context *context) {
    if (!confined.is_hook)
        return false;
    execve(confined.path, confined.args, confined.env);
    context->step = confined.step;
    context->step_name = "hook-confined";
    refuse(context, "hook %s: exec", confined.path);
    return true;
}

/* startContainer's hooks are programs of the image: they get only the privileges of the container's program. The child
 * goes on with the plan, whose steps give up capabilities and load the filter, and executes the hook at the step at
 * which init executes the program. */
int step_hook_confined(struct context *context, const struct step_hook_confined *step) {
    int ends[2];
    if (confined.is_hook) /* a later hook: only init runs it */
        return 0;
    OWNED state = open_state(context, &step->state_head, &step->state_tail);
    if (state < 0 || open_words(context, ends) != 0)
        return -1;
    OWNED from = ends[0];
    OWNED words_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return refuse(context, "hook %s: fork", step->path.data);
    if (pid == 0) {
        int prepared = prepare(context, step, state, words_end);
        state = from = words_end = -1;
        return prepared;
    }
    close(words_end);
    words_end = -1;
    setpgid(pid, pid); /* here as well: the timeout may pass before the child has done it */
    return await(context, step->path.data, pid, from, step->timeout);
}
