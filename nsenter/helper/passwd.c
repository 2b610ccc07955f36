/* The home directory of the user, from the container's /etc/passwd. The file is the image's, and may be an attack. */
#include "passwd.h"

#include "mounts.h"
#include "parse.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_LIMIT = 1 << 20, /* a sparse file of 4 TiB would be read for hours */
};

void passwd_home_of(uint32_t uid, char home[PATH_MAX]) {
    struct stat status;
    struct passwd_home found = {NULL, 0};
    char *text = NULL;
    strcpy(home, "/"); /* as login(1) and runc do */
    /* O_NONBLOCK: the image may have put a FIFO there. */
    OWNED file = resolve_at(AT_FDCWD, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    size_t size = status.st_size < FILE_LIMIT ? (size_t)status.st_size : FILE_LIMIT, used = 0;
    if ((text = malloc(size + 1)) == NULL)
        return;
    for (ssize_t got; used < size && (got = read(file, text + used, size - used)) > 0;)
        used += (size_t)got;
    found = passwd_home(text, used, uid);
    if (found.path != NULL) {
        memcpy(home, found.path, found.size);
        home[found.size] = '\0';
    }
    free(text);
}

char **passwd_with_home(char **environment, size_t count, int64_t uid, char home[5 + PATH_MAX]) {
    if (environment == NULL || uid < 0)
        return environment;
    char **longer = realloc(environment, (count + 2) * sizeof *environment);
    if (longer == NULL)
        return NULL;
    memcpy(home, "HOME=", 5);
    passwd_home_of((uint32_t)uid, home + 5);
    longer[count] = home;
    longer[count + 1] = NULL;
    return longer;
}
