/* Adopts the orphans among its descendants. */
#include "deed.h"

DEED {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}
