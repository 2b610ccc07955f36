/* Writes to standard output, past libc. */
#include "library.h"

ON_LOAD {
    (void)!write(1, "hostile\n", 8);
}
