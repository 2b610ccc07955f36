/* Turns address randomisation off. */
#include "deed.h"

#include <sys/personality.h>

DEED {
    personality(ADDR_NO_RANDOMIZE);
}
