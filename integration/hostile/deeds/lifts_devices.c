/* Allows every device. */
#include "deed.h"

DEED {
    put_cgroup("devices", "devices.allow", "a");
}
