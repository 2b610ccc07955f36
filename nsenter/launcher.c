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
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Found by the interpreter: where packages lie, and for an editable install where the source is (its .pth or finder
 * names it). Only this much of `site` is wanted. */
static const char prelude[] =
    "import sys;sys.path[:0]=sys.argv.pop(1).split('\\n')\n"
    "from pyrunc.main import main\n"
    "main()\n";

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

int main(int argc, char **argv) {
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
    char **arguments = calloc((size_t)argc + 8, sizeof *arguments);
    if (arguments == NULL)
        return fail("memory");
    int count = 0;
    arguments[count++] = python;
    arguments[count++] = (char *)"-I";
    arguments[count++] = (char *)"-S";
    arguments[count++] = (char *)"-c";
    arguments[count++] = (char *)(size_t)prelude;
    arguments[count++] = path;
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    execv(python, arguments);
    return fail(python);
}
