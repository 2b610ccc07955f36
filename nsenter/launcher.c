/* The `pyrunc` command: starts the interpreter that pyrunc was installed for, in the way that starts fastest.
 *
 * -I: nothing of the caller's environment or directory is imported. -S: no `site`, which reads every .pth file;
 * what it would have told, the directory of the packages, this program finds beside itself:
 * PREFIX/bin/pyrunc belongs to PREFIX/bin/python3 and PREFIX/lib/python3.X/site-packages. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* argv[1]: where packages lie, one a line; argv[2]: the pid of the child that woke the kernel. The archive of hot
 * modules (pyrunc/hot.py) is taken if it was made by this very interpreter. */
static const char prelude[] =
    "import sys,gc\n"
    "gc.disable()\n" /* a command is over before there is garbage worth collecting */
    "p=sys.argv.pop(1).split('\\n')\n"
    "sys.path[:0]=p\n"
    "try:\n"
    " import marshal\n"
    " with open(p[0]+'/pyrunc/_bin/hot','rb') as f:v,c,e=marshal.loads(f.read())\n"
    " if v==sys.version:\n"
    "  n={'__name__':'pyrunc.hot'}\n"
    "  exec(c,n)\n"
    "  sys.meta_path.insert(0,n['Finder'](e,p[0]))\n"
    "except (OSError,ValueError,EOFError,TypeError):pass\n"
    "from pyrunc.main import main\n"
    "main(int(sys.argv.pop(1)))\n";

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

/* Whether the command will move a process into cgroups. */
static bool will_place(char **argv) {
    static const char *const commands[] = {"create", "run", "exec"};
    for (; *argv != NULL; argv++)
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            if (strcmp(*argv, commands[i]) == 0)
                return true;
    return false;
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
    char **arguments = calloc((size_t)argc + 9, sizeof *arguments);
    if (arguments == NULL)
        return fail("memory");
    int count = 0;
    arguments[count++] = python;
    arguments[count++] = (char *)"-I";
    arguments[count++] = (char *)"-S";
    arguments[count++] = (char *)"-c";
    arguments[count++] = (char *)(size_t)prelude;
    arguments[count++] = path;
    snprintf(child, sizeof child, "%d", will_place(argv) ? (int)wake_kernel() : 0);
    arguments[count++] = child;
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    execv(python, arguments);
    return fail(python);
}
