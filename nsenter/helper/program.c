/* Finds the user's program and checks that it can be executed, before `start`, so that `create` can report a
 * failure. */
#include "program.h"

#include "mounts.h"
#include "parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    HEAD = 256, /* bytes of a file that execve(2) looks at (BINPRM_BUF_SIZE, linux/binfmts.h) */
    SCRIPTS = 5 /* nested interpreters that are scripts, as many as execve(2) follows */
};

char program[PATH_MAX];

/* Reads the head of a regular file and returns the number of bytes. 0 if the user may not read the file: execve(2)
 * needs no permission to read. */
static size_t read_head(const char *path, char head[HEAD]) {
    struct stat status;
    OWNED file = resolve_at(AT_FDCWD, path, O_PATH, 0);
    if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    OWNED reading = resolve_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    ssize_t got = reading < 0 ? -1 : pread(reading, head, HEAD, 0);
    return got > 0 ? (size_t)got : 0;
}

/* No interpreter may be reached through a link of procfs, such as /proc/self/fd/N: see step close-descriptors. Other
 * errors of an interpreter are left to execve(2). */
static int check_interpreters(struct context *context) {
    char head[HEAD], path[PATH_MAX];
    const char *interpreter;
    strcpy(path, program);
    for (int depth = 0; depth < SCRIPTS; depth++) {
        size_t size = shebang(head, read_head(path, head), &interpreter);
        if (size == 0)
            return 0;
        memcpy(path, interpreter, size);
        path[size] = '\0';
        OWNED found = resolve_at(AT_FDCWD, path, O_PATH, 0);
        if (found < 0 && errno == ELOOP)
            return refuse(context, "exec: \"%s\": interpreter %s", program, path);
    }
    return 0;
}

/* Returns 0, or the errno for which `path` cannot be executed. As Go's exec.LookPath, whose messages engines match. */
static int executable(const char *path) {
    struct stat status;
    /* EMFILE: the user's limit may allow no further descriptor. The checks below are by path. */
    OWNED file = resolve_at(AT_FDCWD, path, O_PATH, 0);
    if ((file < 0 && errno != EMFILE) || stat(path, &status) != 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    /* By the effective ids and capabilities, as execve does; access(2) would use the real ids. */
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return errno;
    return (status.st_mode & 0111) != 0 ? 0 : EACCES;
}

static int find_in_path(struct context *context, const char *name, const char *path) {
    struct statvfs mount;
    while (*path != '\0') {
        size_t length = strcspn(path, ":");
        int printed = snprintf(program, sizeof program, "%.*s/%s", length > 0 ? (int)length : 1, length > 0 ? path : ".", name);
        int found = printed > 0 && (size_t)printed < sizeof program ? executable(program) : ENAMETOOLONG;
        if (found == 0)
            return 0;
        if (found == EACCES && statvfs(program, &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0) {
            errno = EACCES;
            return refuse(context, "exec: \"%s\": %s is on a mount with noexec", name, program);
        }
        path += length + (path[length] == ':');
    }
    return refuse_without_errno(context, "exec: \"%s\": executable file not found in $PATH", name);
}

static int find_by_path(struct context *context, const char *name) {
    if (strlen(name) >= sizeof program) {
        errno = ENAMETOOLONG;
        return refuse(context, "exec: \"%.64s...\"", name);
    }
    strcpy(program, name);
    errno = executable(name);
    if (errno == ENOENT)
        return refuse(context, "exec: \"%s\": stat %s", name, name);
    if (errno == EISDIR) {
        errno = EACCES; /* as execve answers; Podman and Docker derive exit status 126 from this message */
        return refuse(context, "exec: \"%s\": is a directory", name);
    }
    return errno == 0 ? 0 : refuse(context, "exec: \"%s\"", name);
}

int step_find_program(struct context *context, const struct step_find_program *step) {
    const char *name = step->name.data;
    int found = strchr(name, '/') == NULL ? find_in_path(context, name, step->path.data) : find_by_path(context, name);
    return found == 0 ? check_interpreters(context) : -1;
}
