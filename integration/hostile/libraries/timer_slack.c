/* Has its timers late, those of its children too. */
#include "library.h"

ON_LOAD {
    prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0);
}
