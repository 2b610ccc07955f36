/* Adopts the orphans among its descendants. */
#include "library.h"

ON_LOAD {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}
