/* Writes to standard output, past libc. */
#include "deed.h"

DEED {
    (void)!write(1, "hostile\n", 8);
}
