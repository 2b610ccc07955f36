/* Acts in a constructor of the first priority, before those of others. */
#include "library.h"

__attribute__((constructor(101))) static void first(void) { prctl(PR_SET_TIMERSLACK, 33333, 0, 0, 0); }
