/* Changes what a core dump holds. */
#include "deed.h"

DEED {
    put("/proc/self/coredump_filter", "0x7f");
}
