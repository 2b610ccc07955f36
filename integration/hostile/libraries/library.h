/* What the libraries share: each is one file with one constructor. SCENE, a directory of the test's own, is set when they are
 * built: `place` in it is a link to where a container's /home will be. */
#ifndef LIBRARY_H
#define LIBRARY_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define ON_LOAD __attribute__((constructor)) static void load(void)

static inline void put(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, text, strlen(text));
        close(file);
    }
}

/* `text` into a file of our own cgroup; `hierarchy` is the directory below /sys/fs/cgroup, "unified" for v2, which may
 * be mounted on /sys/fs/cgroup itself. */
static inline void put_cgroup(const char *hierarchy, const char *file, const char *text) {
    char line[4096], path[4400];
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *name = strchr(line, ':') + 1, *place = strchr(name, ':');
        *place++ = '\0';
        if (strncmp(name, "name=", 5) == 0)
            name += 5;
        if (strcmp(name, strcmp(hierarchy, "unified") == 0 ? "" : hierarchy) == 0) {
            bool alone = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
            snprintf(path, sizeof path, "/sys/fs/cgroup%s%s%s/%s", alone ? "" : "/", alone ? "" : hierarchy, place, file);
            put(path, text);
        }
    }
    if (own != NULL)
        fclose(own);
}
#endif
