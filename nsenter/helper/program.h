#ifndef PYRUNC_PROGRAM_H
#define PYRUNC_PROGRAM_H

#include <linux/limits.h>

/* The path of the user's program, once step find-program has found it. */
extern char program[PATH_MAX];

#endif
