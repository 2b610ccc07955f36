/* The `pyrunc` command: runs pyrunc/cli/dispatch.py in the interpreter that it was built for, in the fastest way.
 *
 * This program, PREFIX/bin/pyrunc, belongs to PREFIX/lib/python3.X/site-packages. It loads the interpreter into this
 * process (interpreter.c), or executes PREFIX/bin/python3 if the interpreter's shared library is not available. Either
 * way nothing is imported from the caller's environment or directory (-I), and no .pth file is read (-S). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "launcher.h"
#include "prelude.h" /* generated from prelude.py */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char prelude[] = PRELUDE;

static int fail(const char *what) {
    dprintf(2, "pyrunc: %s: %s\n", what, strerror(errno));
    return 1;
}

static bool is_there(const char *packages, const char *name) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", packages, name);
    return access(path, R_OK) == 0;
}

/* Finds PREFIX/lib/python3.X/site-packages of the Python that the launcher was built for: an upgrade may have left the
 * directory of another version. Debian's own directory is called dist-packages. */
static int find_packages(const char *prefix, char *path, size_t size) {
    static const char *const kinds[] = {"site-packages", "dist-packages"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int length = snprintf(path, size, "%s/lib/" PYTHON_DIRECTORY "/%s", prefix, kinds[i]);
        if (length > 0 && (size_t)length < size && (is_there(path, "pyrunc") || is_there(path, "pyrunc.source")))
            return 0;
    }
    return -1;
}

/* An editable install writes the path of the checkout to PACKAGES/pyrunc.source. It goes before the packages. */
static void prepend_source(const char *packages, char *path, size_t size) {
    char file[PATH_MAX + 32], line[PATH_MAX];
    snprintf(file, sizeof file, "%s/pyrunc.source", packages);
    FILE *source = fopen(file, "re");
    line[0] = '\0';
    if (source != NULL) {
        if (fgets(line, sizeof line, source) == NULL)
            line[0] = '\0';
        fclose(source);
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(path, size, "%s%s%s", line, line[0] != '\0' ? "\n" : "", packages);
}

/* Returns the first argument that is the name of a command with an archive (pyrunc/fastpath). A wrong guess only costs
 * time. *places: true if the command will move a process into cgroups. */
static const char *likely_command(char **words, bool *places) {
    static const char *const commands[] = {"create", "run", "exec", "start", "state", "kill", "delete"};
    for (; *words != NULL; words++)
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            if (strcmp(*words, commands[i]) == 0) {
                *places = i < 3;
                return commands[i];
            }
    return "-";
}

/* True if this program was called by its second name, containerd's shim. */
static bool is_shim(const char *name) {
    const char *slash = name != NULL ? strrchr(name, '/') : NULL;
    static const char shim[] = "containerd-shim-pyrunc-";
    return name != NULL && strncmp(slash != NULL ? slash + 1 : name, shim, sizeof shim - 1) == 0;
}

/* Opens cgroup.procs of this process's own cgroup in the hierarchy of a line of /proc/self/cgroup
 * (ID:CONTROLLERS:PATH), at the usual mount point; -1 if it cannot be opened for writing. */
static int open_procs(const char *line) {
    char path[2 * PATH_MAX], name[NAME_MAX + 1];
    const char *controllers = strchr(line, ':'), *directory = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (directory == NULL || strstr(directory, "/..") != NULL)
        return -1;
    snprintf(name, sizeof name, "%.*s", (int)(directory - controllers - 1), controllers + 1);
    const char *mounts[] = {name, ""};
    if (name[0] == '\0') /* v2: beside v1 hierarchies, or alone */
        mounts[0] = "unified";
    else if (strncmp(name, "name=", 5) == 0)
        mounts[0] = name + 5;
    for (int i = 0; i < (name[0] == '\0' ? 2 : 1); i++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/cgroup.procs", mounts[i], directory + 1);
        int descriptor = open(path, O_WRONLY | O_CLOEXEC);
        if (descriptor >= 0)
            return descriptor;
    }
    return -1;
}

/* Opens the file of the v2 hierarchy, whose line is the last, or of a v1 hierarchy if v2 is not mounted: all
 * hierarchies share the lock. The v2 file is tried first, so that the kernel's wait begins as early as possible. */
static int own_cgroup(void) {
    char text[4 * PATH_MAX], *unified, *line, *end;
    int file = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC), descriptor = -1;
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = '\0';
    unified = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (unified != NULL) {
        line = strdup(unified + (*unified == '\n'));
        if (line != NULL) {
            line[strcspn(line, "\n")] = '\0';
            descriptor = open_procs(line);
            free(line);
        }
    }
    for (line = strtok_r(text, "\n", &end); descriptor < 0 && line != NULL; line = strtok_r(NULL, "\n", &end))
        descriptor = open_procs(line);
    return descriptor;
}

/* The first migration between cgroups after an idle period waits some 10 ms for an RCU grace period
 * (cgroup_threadgroup_rwsem). A child process that moves itself to its own cgroup makes the kernel begin that wait now,
 * while the interpreter starts. It changes nothing, and ends long before any part of the container exists. */
static pid_t wake_kernel(void) {
    pid_t child = fork();
    if (child == 0) {
        int descriptor = own_cgroup();
        if (descriptor >= 0)
            (void)!write(descriptor, "0", 1);
        _exit(0);
    }
    return child < 0 ? 0 : child;
}

static int execute(char *python, char **words, int count) {
    char **arguments = calloc((size_t)count + 5, sizeof *arguments);
    if (arguments == NULL)
        return fail("memory");
    char *fixed[] = {python, (char *)(size_t)"-I", (char *)(size_t)"-S", (char *)(size_t)"-c", (char *)(size_t)prelude};
    memcpy(arguments, fixed, sizeof fixed);
    memcpy(arguments + 5, words + 1, ((size_t)count - 1) * sizeof *words);
    execv(python, arguments);
    return fail(python);
}

int main(int argc, char **argv) {
    char child[16];
    char self[PATH_MAX], python[PATH_MAX + 16], packages[PATH_MAX], path[2 * PATH_MAX];
    bool shim = is_shim(argv[0]);
    if (shim && print_deleted(argv + 1))
        return 0;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return fail("/proc/self/exe");
    self[length] = '\0';
    /* PREFIX/bin/pyrunc, even if it was called through a link. */
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    snprintf(python, sizeof python, "%s/bin/python3", self);
    if (access(python, X_OK) != 0) /* installed into /usr/local by the distribution's pip */
        strcpy(python, "/usr/bin/python3");
    if (find_packages(self, packages, sizeof packages) != 0)
        return fail("no lib/" PYTHON_DIRECTORY "/site-packages/pyrunc beside the program");
    prepend_source(packages, path, sizeof path);
    bool places = false;
    const char *command = shim ? "shim" : likely_command(argv + 1, &places);
    snprintf(child, sizeof child, "%d", places ? (int)wake_kernel() : 0);
    char **words = calloc((size_t)argc + 4, sizeof *words);
    if (words == NULL)
        return fail("memory");
    char *fixed[] = {argv[0], path, (char *)(size_t)command, child};
    memcpy(words, fixed, sizeof fixed);
    if (argc > 1)
        memcpy(words + 4, argv + 1, ((size_t)argc - 1) * sizeof *argv);
    int count = argc > 1 ? argc + 3 : 4;
    interpret(prelude, python, words, count);
    return execute(python, words, count);
}
