/* Denies itself memory that is both writable and executable, which nobody can take back (Linux 6.3). */
#include "deed.h"

DEED {
    prctl(65, 1, 0, 0, 0);
}
