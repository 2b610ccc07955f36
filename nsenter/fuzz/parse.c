/* Fuzz target of the parsers (nsenter/helper/parse.c): each reads only its text, and each result lies inside it. */
#include "parse.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void within(const char *found, size_t length, const char *text, size_t size) {
    if (found < text || length > size || (size_t)(found - text) > size - length)
        abort();
}

static void try_shebang(const char *text, size_t size) {
    const char *interpreter = NULL;
    size_t length = shebang(text, size < 256 ? size : 256, &interpreter);
    if (length == 0)
        return;
    within(interpreter, length, text, size);
    if (memchr(interpreter, '\n', length) != NULL || memchr(interpreter, ' ', length) != NULL)
        abort();
}

static void try_passwd(const char *text, size_t size) {
    struct passwd_home home = passwd_home(text, size, 1000);
    if (home.path == NULL)
        return;
    within(home.path, home.size, text, size);
    if (home.path[0] != '/' || home.size >= PATH_MAX || memchr(home.path, '\n', home.size) != NULL)
        abort();
}

static void try_mountinfo(char *text, size_t size) {
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        const char *path = mountinfo_elsewhere(line, "/root/fs");
        if (path == NULL)
            continue;
        within(path, strlen(path), text, size);
        mountinfo_covers(rest, path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* A copy of exactly that length, so that the sanitizer catches a read of one byte more. mountinfo ends in NUL
     * (rootfs.c read_whole). */
    char *exact = malloc(size > 0 ? size : 1), *text = malloc(size + 1);
    if (exact != NULL && text != NULL) {
        memcpy(exact, data, size);
        memcpy(text, data, size);
        text[size] = '\0';
        try_shebang(exact, size);
        try_passwd(exact, size);
        try_mountinfo(text, size);
    }
    free(exact);
    free(text);
    return 0;
}
