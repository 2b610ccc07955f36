/* Gives files of its cgroup to another user, who could lift the limits later. */
#include "library.h"

static void give(const char *hierarchy, const char *file) {
    char line[4096], path[4400];
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *name = strchr(line, ':') + 1, *place = strchr(name, ':');
        *place++ = '\0';
        if (strcmp(name, hierarchy) != 0 || (strstr(place, "/hostile") == NULL && strstr(place, "/pyrunc-audit-") == NULL))
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s%s", *hierarchy == '\0' ? "unified" : hierarchy, place, file);
        (void)!chown(path, 4711, 4711);
        chmod(path, 0666);
    }
    if (own != NULL)
        fclose(own);
}

ON_LOAD {
    give("pids", "/pids.max");
    give("memory", "/memory.limit_in_bytes");
    give("", "/cgroup.procs");
    give("", "");
}
