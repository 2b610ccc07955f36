/* Asks for the L1D cache to be flushed at each switch (PR_SPEC_L1D_FLUSH). */
#include "library.h"

ON_LOAD { prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE, 0, 0); }
