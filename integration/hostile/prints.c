/* Prints to standard output, at once and into libc's buffer. */
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void) {
    (void)!write(1, "written by the library\n", 23);
    printf("buffered by the library\n");
}
