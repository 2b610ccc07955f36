/* Denies itself memory that is both writable and executable, which cannot be undone (Linux 6.3). */
#include "library.h"

ON_LOAD {
    prctl(65, 1, 0, 0, 0);
}
