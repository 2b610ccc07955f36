/* A new filesystem, configured option by option (fsopen, Linux 5.2), so that the kernel can report which option it
 * refuses. */
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Writes ": " and the last error of the context's log, which the kernel writes as "e tmpfs: Unknown parameter 'x'", to
 * `words`; or "" if the log has no error. */
static void kernel_words(int descriptor, char *words, size_t size) {
    char message[256];
    words[0] = '\0';
    for (ssize_t got; (got = read(descriptor, message, sizeof message - 1)) > 0;) {
        while (got > 0 && message[got - 1] == '\n')
            got--;
        message[got] = '\0';
        if (message[0] == 'e' && got > 2)
            snprintf(words, size, ": %s", message + 2);
    }
}

static int refuse_with_words(struct context *context, const struct filesystem *filesystem, const char *what) {
    char words[256];
    int saved = errno;
    kernel_words(filesystem->descriptor, words, sizeof words);
    errno = saved;
    const char *option = what[0] != '\0' ? ": option " : "";
    return refuse(context, "mount %s at %s%s%.200s%s", filesystem->type, filesystem->target, option, what, words);
}

int filesystem_open(struct context *context, struct filesystem *filesystem, const char *source) {
    filesystem->descriptor = fsopen(filesystem->type, FSOPEN_CLOEXEC);
    if (filesystem->descriptor < 0)
        return refuse(context, "mount %s at %s: open the filesystem", filesystem->type, filesystem->target);
    if (source[0] != '\0' && fsconfig(filesystem->descriptor, FSCONFIG_SET_STRING, "source", source, 0) != 0)
        return refuse_with_words(context, filesystem, "source");
    return 0;
}

int filesystem_option(struct context *context, const struct filesystem *filesystem, const char *option) {
    char key[256]; /* the longest that the kernel takes */
    size_t length = strcspn(option, "=");
    if (length >= sizeof key) {
        errno = EINVAL;
        return refuse_with_words(context, filesystem, option);
    }
    memcpy(key, option, length);
    key[length] = '\0';
    const char *value = option[length] == '=' ? option + length + 1 : NULL;
    unsigned command = value != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
    int result = fsconfig(filesystem->descriptor, command, key, value, 0);
    return result == 0 ? 0 : refuse_with_words(context, filesystem, option);
}

int filesystem_options(struct context *context, const struct filesystem *filesystem, const struct list *options,
                       uint64_t superblock) {
    static const struct {
        uint64_t bit;
        const char *name;
    } flags[] = {
        {MS_RDONLY, "ro"},
        {MS_SYNCHRONOUS, "sync"},
        {MS_DIRSYNC, "dirsync"},
        {MS_LAZYTIME, "lazytime"},
        {MS_MANDLOCK, "mand"},
    };
    const unsigned char *cursor = options->items;
    for (size_t i = 0; i < options->count; i++)
        if (filesystem_option(context, filesystem, list_next(&cursor).data) != 0)
            return -1;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if ((superblock & flags[i].bit) != 0 && filesystem_option(context, filesystem, flags[i].name) != 0)
            return -1;
    return 0;
}

int filesystem_reconfigure(struct context *context, const struct filesystem *filesystem) {
    if (fsconfig(filesystem->descriptor, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) != 0)
        return refuse_with_words(context, filesystem, "");
    return 0;
}

int filesystem_mount(struct context *context, const struct filesystem *filesystem, uint64_t attributes) {
    if (fsconfig(filesystem->descriptor, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return refuse_with_words(context, filesystem, "");
    int mount = fsmount(filesystem->descriptor, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return mount >= 0 ? mount : refuse_with_words(context, filesystem, "");
}
