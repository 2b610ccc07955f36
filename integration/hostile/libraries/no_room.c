/* Takes all address space away, so that no other program can be executed. */
#include "library.h"
#include <sys/resource.h>

ON_LOAD {
    struct rlimit none = {4096, 4096};
    setrlimit(RLIMIT_AS, &none);
}
