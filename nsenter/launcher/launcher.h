/* What the files of the launcher share. */
#ifndef PYRUNC_LAUNCHER_H
#define PYRUNC_LAUNCHER_H
#include <stdbool.h>

/* Runs a command in the interpreter's library, in this process, with `words` as sys.argv, and never returns; returns only
 * where there is no such library, with nothing done. `code`: prelude.py, which says what the first words are.
 * `executable`: what sys.executable is to be. A hot command, one of
 * milliseconds, is not ended in the middle by signals (pyrunc/interrupts.py). */
void interpret(const char *code, const char *executable, char **words, int count);

/* The shim's `delete` where nothing is left to be deleted: prints the answer that is in the bundle. False: it is not that
 * action, or there may be something. `words`: the arguments. */
bool print_deleted(char **words);

#endif
