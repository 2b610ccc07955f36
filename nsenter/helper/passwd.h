#ifndef PYRUNC_PASSWD_H
#define PYRUNC_PASSWD_H

#include <linux/limits.h>
#include <stdint.h>

/* The home directory of the user with this uid in the container's /etc/passwd, of which at most 1 MiB is read; "/" where
 * there is none. */
void passwd_home_of(uint32_t uid, char home[PATH_MAX]);

#endif
