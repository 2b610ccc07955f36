/* Goes to a mount namespace of its own. */
#include "deed.h"

DEED {
    unshare(CLONE_NEWNS);
}
