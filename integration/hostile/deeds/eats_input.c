/* Reads what is the program's standard input. */
#include "deed.h"

DEED {
    char text[4096];
    (void)!read(0, text, sizeof text);
}
