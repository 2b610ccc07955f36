/* Reads what is the program's standard input. */
#include "library.h"

ON_LOAD {
    char text[4096];
    (void)!read(0, text, sizeof text);
}
