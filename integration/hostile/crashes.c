/* Crashes the process that loads it. A real fault: init of a pid namespace is deaf to a signal that it raises itself. */
static int *volatile nowhere;

__attribute__((constructor)) static void load(void) { *nowhere = 0; }
