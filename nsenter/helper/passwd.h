#ifndef PYRUNC_PASSWD_H
#define PYRUNC_PASSWD_H

#include <linux/limits.h>
#include <stddef.h>
#include <stdint.h>

/* Writes to `home` the home directory of the user with this uid in the container's /etc/passwd, of which at most 1 MiB
 * is read; "/" if there is none. */
void passwd_home_of(uint32_t uid, char home[PATH_MAX]);

/* Appends HOME of that user to `environment`, a malloc'ed array of `count` variables, and returns the array; a negative
 * uid appends nothing. `home` holds the text of HOME. Returns NULL without memory, and frees nothing. */
char **passwd_with_home(char **environment, size_t count, int64_t uid, char home[5 + PATH_MAX]);

#endif
