/* Crashes the process that loads it. */
#include <signal.h>

__attribute__((constructor)) static void load(void) { raise(SIGSEGV); }
