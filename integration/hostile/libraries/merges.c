/* Has the kernel merge its memory with that of others (PR_SET_MEMORY_MERGE, Linux 6.4). */
#include "library.h"

ON_LOAD {
    prctl(67, 1, 0, 0, 0);
}
