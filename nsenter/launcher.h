/* What the two files of the launcher share. */
#ifndef PYRUNC_LAUNCHER_H
#define PYRUNC_LAUNCHER_H

#include <stdbool.h>

/* Runs `code` in the interpreter's library, in this process, with `words` as sys.argv, and never returns; returns only
 * where there is no such library, with nothing done. `executable`: what sys.executable is to be; `hot`: a command of
 * milliseconds, which signals do not end in the middle (pyrunc/interrupts.py). */
void interpret(const char *code, const char *executable, char **words, int count, bool hot);

#endif
