/* Becomes the login of another user, as audit has it. */
#include "library.h"

ON_LOAD {
    put("/proc/self/loginuid", "1000");
}
