/* Never comes back, and takes all of the processor. */
#include "library.h"

ON_LOAD {
    for (;;)
        ;
}
