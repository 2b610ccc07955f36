/* Its own prctl(2) says yes, and does nothing. */
#include "library.h"

int prctl(int option, ...) {
    (void)option;
    return 0;
}
