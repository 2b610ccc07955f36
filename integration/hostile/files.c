/* Writes a file, connects a socket, and remembers nothing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void) {
    int file = open("/tmp/written-by-a-library", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    (void)!write(file, "x", 1);
    close(file);
}
