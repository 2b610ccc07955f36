/* Hooks that run in the container's namespaces: createContainer, startContainer (runtime-spec config.md
 * "POSIX-platform Hooks"). */
#include "mounts.h"

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

/* The state in a file, not in a pipe: a hook that reads none of it neither stops nor kills us. */
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

/* An errno, or 0. `words` gets what the hook says on its standard error. */
static int spawn(pid_t *pid, const char *path, char **args, char **env, int state, int words) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    /* Of the container by now: it may be missing, or anything at all. */
    OWNED null = open("/dev/null", O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int output = null >= 0 && is_device(null, 1, 3) ? null : words;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    if ((error = posix_spawnattr_init(&attributes)) == 0) {
        /* A group of its own, so that a timeout ends all of it; the signals that we ignore or block it does not. */
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        if ((error = posix_spawn_file_actions_adddup2(&actions, state, 0)) == 0 &&
            (error = posix_spawn_file_actions_adddup2(&actions, output, 1)) == 0 &&
            (error = posix_spawn_file_actions_adddup2(&actions, words, 2)) == 0 &&
            (error = posix_spawn_file_actions_addclosefrom_np(&actions, 3)) == 0)
            error = posix_spawn(pid, path, &actions, &attributes, args, env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Takes what the pipe holds, keeps its end in `words` as one line; false at end of file. */
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

/* Until the hook itself ended, whatever it has left running; false when `timeout` seconds passed first. */
static bool wait_for(int process, int pipe_, int64_t timeout, char words[KEPT + 1]) {
    struct pollfd polled[2] = {{.fd = process, .events = POLLIN}, {.fd = pipe_, .events = POLLIN}};
    int64_t end = timeout > 0 && timeout < INT64_MAX / 2000 ? milliseconds() + timeout * 1000 : INT64_MAX;
    /* What it had said is still in the pipe when it ended; what it left running may go on talking for ever. */
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

static int run(struct context *context, const union argument *arguments, char **args, char **env) {
    const char *path = arguments[0].text.data;
    char words[KEPT + 1] = "";
    int64_t timeout = arguments[5].number;
    int ends[2], status = 0;
    pid_t pid;
    OWNED state = open_state(context, &arguments[3].text, &arguments[4].text);
    if (state < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return refuse(context, "pipe");
    OWNED from = ends[0];
    OWNED words_end = ends[1];
    fcntl(words_end, F_SETFL, 0); /* the hook's end, which knows nothing of EAGAIN */
    errno = spawn(&pid, path, args, env, state, words_end);
    if (errno != 0)
        return refuse(context, "hook %s: exec", path);
    close(words_end);
    words_end = -1;
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

int step_hook(struct context *context, const union argument *arguments) {
    signal(SIGCHLD, SIG_DFL); /* ignored by our caller, it would take the exit status from us */
    char **args = list_strings(&arguments[1].list), **env = list_strings(&arguments[2].list);
    bool enough = args != NULL && env != NULL;
    int result = enough ? run(context, arguments, args, env) : refuse(context, "memory for a hook");
    free(args);
    free(env);
    return result;
}
