/* containerd executes the shim's `delete` after every shim's end, even if the shim's server has deleted the container
 * already. In that case the server has left the answer in the bundle (pyrunc/shim/leftovers.py), and this program
 * prints it. To start an interpreter for that would take half of the shim's processor time for a short container. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Returns the bundle of `-bundle PATH ... delete` as containerd writes it, or the working directory if it is not given.
 * NULL for another action or spelling, which Python parses. */
static const char *bundle_to_delete(char **words) {
    const char *bundle = ".";
    for (; *words != NULL && words[0][0] == '-'; words++) {
        if (strcmp(*words, "-debug") == 0)
            continue;
        if (strchr(*words, '=') != NULL || words[1] == NULL)
            return NULL;
        if (strcmp(*words, "-bundle") == 0)
            bundle = words[1];
        words++;
    }
    return *words != NULL && strcmp(*words, "delete") == 0 && words[1] == NULL ? bundle : NULL;
}

/* Reads the file BUNDLE/NAME into `data` and returns its length; -1 if it cannot be read or does not fit. */
static ssize_t read_file(const char *bundle, const char *name, char *data, size_t size) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", bundle, name) >= (int)sizeof path)
        return -1;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return -1;
    ssize_t length = read(file, data, size);
    close(file);
    return (size_t)length < size ? length : -1;
}

bool print_deleted(char **words) {
    static const char scheme[] = "unix://";
    char answer[4096], address[PATH_MAX];
    const char *bundle = bundle_to_delete(words);
    ssize_t length = bundle != NULL ? read_file(bundle, "deleted", answer, sizeof answer) : -1;
    if (length <= 0)
        return false;
    ssize_t end = read_file(bundle, "address", address, sizeof address);
    if (end < 0)
        return false;
    address[end] = '\0';
    /* A server that shut down has removed its socket; after a kill the socket still exists. */
    if (strncmp(address, scheme, sizeof scheme - 1) != 0 || access(address + sizeof scheme - 1, F_OK) == 0 ||
        errno != ENOENT)
        return false;
    return write(1, answer, (size_t)length) == length;
}
