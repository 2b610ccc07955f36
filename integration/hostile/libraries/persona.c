/* Turns address randomisation off. */
#include "library.h"

#include <sys/personality.h>

ON_LOAD {
    personality(ADDR_NO_RANDOMIZE);
}
