/* Stops, and waits to be continued. */
#include "library.h"

ON_LOAD {
    raise(SIGSTOP);
}
