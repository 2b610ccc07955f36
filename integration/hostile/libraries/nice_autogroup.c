/* Makes its whole session nice. */
#include "library.h"

ON_LOAD {
    put("/proc/self/autogroup", "19");
}
