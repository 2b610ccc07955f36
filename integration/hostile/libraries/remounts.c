/* Makes the host's root mount nosuid. */
#include "library.h"

ON_LOAD {
    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL);
}
