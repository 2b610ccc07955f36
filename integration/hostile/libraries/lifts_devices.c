/* Allows every device. */
#include "library.h"

ON_LOAD {
    put_cgroup("devices", "devices.allow", "a");
}
