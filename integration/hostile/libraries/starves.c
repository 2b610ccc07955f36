/* Leaves no room: few descriptors, a small stack, little address space, no files of any size. */
#include "library.h"
#include <sys/resource.h>

ON_LOAD {
    struct rlimit few = {5, 5}, small = {1 << 20, 1 << 20}, none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &few);
    setrlimit(RLIMIT_STACK, &small);
    setrlimit(RLIMIT_FSIZE, &none);
    setrlimit(RLIMIT_MSGQUEUE, &none);
    setrlimit(RLIMIT_SIGPENDING, &none);
}
