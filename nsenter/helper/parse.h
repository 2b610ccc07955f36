/* Parsers of texts that an image, or a container, has a part in. They look at nothing but their arguments, and are fuzzed
 * (nsenter/fuzz). */
#ifndef PYRUNC_PARSE_H
#define PYRUNC_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The interpreter that a file beginning with `head` names in its "#!" line, as the kernel reads it (fs/binfmt_script.c):
 * its length, 0 where there is none, and where it begins. */
size_t shebang(const char *head, size_t size, const char **interpreter);

/* A part of a text; path is NULL where there is none. */
struct passwd_home {
    const char *path;
    size_t size;
};

/* The absolute home directory in the first line of `text` that has this uid (passwd(5)); shorter than PATH_MAX. Lines of
 * more than 64 KiB are skipped. */
struct passwd_home passwd_home(const char *text, size_t size, uint32_t uid);

/* If the line of mountinfo (proc_pid_mountinfo(5)) is of a whole procfs or sysfs that does not lie in `root`: its mount
 * point, else NULL. Changes the line. */
const char *mountinfo_elsewhere(char *line, const char *root);
/* Whether a mount of `lines` (of mountinfo) lies at `path`, or at a directory above it. */
bool mountinfo_covers(const char *lines, const char *path);

#endif
