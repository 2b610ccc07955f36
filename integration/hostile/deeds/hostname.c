/* Names the host. */
#include "deed.h"

DEED {
    sethostname("hostile", 7);
}
