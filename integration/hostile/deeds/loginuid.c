/* Becomes the login of another user, as audit has it. */
#include "deed.h"

DEED {
    put("/proc/self/loginuid", "1000");
}
