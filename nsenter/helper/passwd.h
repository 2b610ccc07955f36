#ifndef PYRUNC_PASSWD_H
#define PYRUNC_PASSWD_H

#include <linux/limits.h>
#include <stddef.h>
#include <stdint.h>

/* The home directory of the user with this uid in the container's /etc/passwd, of which at most 1 MiB is read; "/" where
 * there is none. */
void passwd_home_of(uint32_t uid, char home[PATH_MAX]);

/* `environment`, of `count` variables on the heap, with HOME of that user after them, unless the uid is negative; NULL,
 * and nothing is freed, when there is no memory. `home` has its text. */
char **passwd_with_home(char **environment, size_t count, int64_t uid, char home[5 + PATH_MAX]);

#endif
