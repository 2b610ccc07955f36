/* Goes to a mount namespace of its own. */
#include "library.h"

ON_LOAD {
    unshare(CLONE_NEWNS);
}
