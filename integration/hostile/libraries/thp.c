/* Turns huge pages off. */
#include "library.h"

ON_LOAD {
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}
