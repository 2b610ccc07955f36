/* Shared by the files of the launcher. */
#ifndef PYRUNC_LAUNCHER_H
#define PYRUNC_LAUNCHER_H
#include <stdbool.h>

/* Runs a command in this process by the interpreter's library, with `words` as sys.argv. Returns only if the library is
 * not available, with nothing done. `code`: prelude.py, which defines the first words. `executable`: the value of
 * sys.executable. Signals do not interrupt a hot command, which takes milliseconds (pyrunc/interrupts.py). */
void interpret(const char *code, const char *executable, char **words, int count);

/* Performs the shim's `delete` if nothing is left to delete: prints the answer from the bundle. Returns false for
 * another action, or if there may be something to delete. `words`: the arguments. */
bool print_deleted(char **words);

#endif
