/* Leaves extended attributes on its cgroup, which systemd's oomd reads. */
#include "library.h"
#include <sys/xattr.h>

ON_LOAD {
    char line[4096], path[4400];
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL)
        if (strncmp(line, "0::", 3) == 0 && (strstr(line, "/hostile") != NULL || strstr(line, "/pyrunc-audit-") != NULL)) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(path, sizeof path, "/sys/fs/cgroup%s%s", access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/unified" : "", line + 3);
            setxattr(path, "user.oomd_omit", "1", 1, 0);
        }
    if (own != NULL)
        fclose(own);
}
