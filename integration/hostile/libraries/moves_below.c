/* Makes a cgroup below its own with a low limit, and moves there. */
#include "library.h"

static void move(const char *hierarchy) {
    char line[4096], path[8192];
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *name = strchr(line, ':') + 1, *place = strchr(name, ':');
        *place++ = '\0';
        if (strcmp(name, strcmp(hierarchy, "unified") == 0 ? "" : hierarchy) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/below", hierarchy, place);
        mkdir(path, 0755);
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/below/pids.max", hierarchy, place);
        put(path, "7");
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/below/cgroup.procs", hierarchy, place);
        put(path, "0");
    }
    if (own != NULL)
        fclose(own);
}

ON_LOAD {
    move("pids");
    move("memory");
    move("unified");
}
