/* Renames its cgroup (v1 lets it), so that it is not found by its name. */
#include "library.h"

ON_LOAD {
    char line[4096], path[8192], other[8300];
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL) {
        char *place = strstr(line, ":freezer:");
        /* Not the test's own: it would not be removed. */
        if (place == NULL || (strstr(place, "/hostile") == NULL && strstr(place, "/pyrunc-audit-") == NULL))
            continue;
        place[strcspn(place, "\n")] = '\0';
        snprintf(path, sizeof path, "/sys/fs/cgroup/freezer%s", place + 9);
        snprintf(other, sizeof other, "%s-other", path);
        if (rename(path, other) == 0)
            printf("renamed\n");
    }
    if (own != NULL)
        fclose(own);
}
