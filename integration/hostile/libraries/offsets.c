/* Reads and writes elsewhere in the files of the standard streams. */
#include "library.h"

ON_LOAD {
    for (int i = 0; i < 3; i++)
        lseek(i, 100, SEEK_SET);
}
