/* Parsers of texts that an image or a container can influence. They read only their arguments, and are fuzzed
 * (nsenter/fuzz). */
#ifndef PYRUNC_PARSE_H
#define PYRUNC_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Finds the interpreter in the "#!" line of a file that begins with `head`, as the kernel does (fs/binfmt_script.c).
 * Returns its length, or 0 if there is none, and its begin in *interpreter. */
size_t shebang(const char *head, size_t size, const char **interpreter);

/* A part of a text; path is NULL if nothing was found. */
struct passwd_home {
    const char *path;
    size_t size;
};

/* Returns the absolute home directory in the first line of `text` with this uid (passwd(5)); shorter than PATH_MAX.
 * Lines of more than 64 KiB are skipped. */
struct passwd_home passwd_home(const char *text, size_t size, uint32_t uid);

/* Returns the mount point of a line of mountinfo (proc_pid_mountinfo(5)) if it is a whole procfs or sysfs outside of
 * `root`, else NULL. Changes the line. */
const char *mountinfo_elsewhere(char *line, const char *root);
/* True if a mount of `lines` (of mountinfo) lies at `path`, or at a directory above it. */
bool mountinfo_covers(const char *lines, const char *path);

#endif
