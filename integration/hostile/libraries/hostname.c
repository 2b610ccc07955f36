/* Names the host. */
#include "library.h"

ON_LOAD {
    sethostname("hostile", 7);
}
