/* Makes its whole session nice. */
#include "deed.h"

DEED {
    put("/proc/self/autogroup", "19");
}
