/* Turns huge pages off. */
#include "deed.h"

DEED {
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}
