/* Crashes the process that loads it. A real fault: init of a pid namespace is deaf to a signal that it raises itself. */
__attribute__((constructor)) static void load(void) { *(volatile int *)0 = 0; }
