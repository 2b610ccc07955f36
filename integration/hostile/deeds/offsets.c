/* Reads and writes elsewhere in the files of the standard streams. */
#include "deed.h"

DEED {
    for (int i = 0; i < 3; i++)
        lseek(i, 100, SEEK_SET);
}
