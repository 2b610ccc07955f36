/* Has its timers late, those of its children too. */
#include "deed.h"

DEED {
    prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0);
}
