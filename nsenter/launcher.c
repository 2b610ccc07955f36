/* The `pyrunc` command: runs pyrunc/main.py in the interpreter that it was built for, in the way that starts fastest.
 *
 * PREFIX/bin/pyrunc, this program, belongs to PREFIX/lib/python3.X/site-packages. The interpreter is loaded into this
 * process (interpreter.c); where its shared library is not to be had, PREFIX/bin/python3 is executed. Either way nothing
 * of the caller's environment or directory is imported (-I), and no .pth file is read (-S). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* argv[1]: where packages lie, one a line; argv[2]: the command that its words are likely to mean, or "-";
 * argv[3]: the pid of the child that woke the kernel. */
static const char prelude[] =
    "import sys,gc\n"
    "gc.disable()\n" /* a command is over before there is garbage worth collecting */
    "p,w,k=sys.argv[1:4]\n"
    "del sys.argv[1:4]\n"
    "p=p.split('\\n')\n"
    "import marshal,posix\n"
    "try:\n"
    " d=posix.open(p[0]+'/pyrunc/_bin/hot/'+w,524288)\n" /* O_CLOEXEC */
    " v,c,m=marshal.loads(posix.read(d,1<<24))\n"
    " posix.close(d)\n"
    "except (OSError,ValueError,EOFError,TypeError):v=''\n"
    "if v==sys.version:exec(c,{'__name__':'pyrunc.hot','MODULES':m,'PACKAGES':p})\n"
    "else:\n"
    " if '_launcher' in sys.builtin_module_names:\n"
    "  a=sys.argv;__import__('_launcher').complete();sys.argv=a\n"
    " sys.path[:0]=p\n"
    "from pyrunc.main import main\n"
    "main(int(k))\n";

static int fail(const char *what) {
    dprintf(2, "pyrunc: %s: %s\n", what, strerror(errno));
    return 1;
}

static bool packages_at(char *path, size_t size, const char *prefix, const char *version, const char *kind) {
    int length = snprintf(path, size, "%s/lib/%s/%s", prefix, version, kind);
    return length > 0 && (size_t)length < size && access(path, R_OK) == 0;
}

/* PREFIX/lib/python3.X/site-packages, of the one python3.* that is there; Debian's own is called dist-packages. */
static int find_packages(const char *prefix, char *path, size_t size) {
    char library[PATH_MAX + 8];
    snprintf(library, sizeof library, "%s/lib", prefix);
    DIR *directory = opendir(library);
    if (directory == NULL)
        return -1;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;)
        found = strncmp(entry->d_name, "python3.", 8) == 0 &&
                (packages_at(path, size, prefix, entry->d_name, "site-packages") ||
                 packages_at(path, size, prefix, entry->d_name, "dist-packages"));
    closedir(directory);
    return found ? 0 : -1;
}

/* An editable install leaves PACKAGES/pyrunc.source: the checkout, which goes before the packages. */
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

/* The first of the words that is a command which has its modules in one file (pyrunc/hot.py); a wrong guess costs time
 * only. `places`: whether it will move a process into cgroups. */
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

/* Our own cgroup's file of the v2 hierarchy, where it is usually mounted. */
static int own_cgroup(void) {
    char line[PATH_MAX], path[PATH_MAX + 64];
    FILE *file = fopen("/proc/self/cgroup", "re");
    int descriptor = -1;
    while (file != NULL && descriptor < 0 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) != 0 || strstr(line, "/..") != NULL)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup/unified%s/cgroup.procs", line + 3);
        if ((descriptor = open(path, O_WRONLY | O_CLOEXEC)) < 0) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", line + 3);
            descriptor = open(path, O_WRONLY | O_CLOEXEC);
        }
    }
    if (file != NULL)
        fclose(file);
    return descriptor;
}

/* The first migration between cgroups after a moment of idleness waits some 10 ms for an RCU grace period
 * (cgroup_threadgroup_rwsem). A child that "moves" itself to where it is has the kernel begin that wait now, while the
 * interpreter starts. It changes nothing, and has ended long before anything of the container exists. */
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
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return fail("/proc/self/exe");
    self[length] = '\0';
    /* PREFIX/bin/pyrunc, whatever link it was called by. */
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    snprintf(python, sizeof python, "%s/bin/python3", self);
    if (access(python, X_OK) != 0) /* installed into /usr/local by the distribution's pip */
        strcpy(python, "/usr/bin/python3");
    if (find_packages(self, packages, sizeof packages) != 0)
        return fail("no lib/python3.*/site-packages beside the program");
    prepend_source(packages, path, sizeof path);
    bool places = false;
    const char *command = likely_command(argv + 1, &places);
    snprintf(child, sizeof child, "%d", places ? (int)wake_kernel() : 0);
    char **words = calloc((size_t)argc + 4, sizeof *words);
    if (words == NULL)
        return fail("memory");
    char *fixed[] = {argv[0], path, (char *)(size_t)command, child};
    memcpy(words, fixed, sizeof fixed);
    if (argc > 1)
        memcpy(words + 4, argv + 1, ((size_t)argc - 1) * sizeof *argv);
    int count = argc > 1 ? argc + 3 : 4;
    interpret(prelude, python, words, count, command[0] != '-');
    return execute(python, words, count);
}
