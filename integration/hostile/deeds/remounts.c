/* Makes the host's root mount nosuid. */
#include "deed.h"

DEED {
    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL);
}
