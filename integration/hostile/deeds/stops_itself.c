/* Stops, and waits to be continued. */
#include "deed.h"

DEED {
    raise(SIGSTOP);
}
