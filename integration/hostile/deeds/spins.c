/* Never comes back, and takes all of the processor. */
#include "deed.h"

DEED {
    for (;;)
        ;
}
