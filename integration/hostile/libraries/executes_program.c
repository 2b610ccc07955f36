/* Becomes another program. */
#include "library.h"

ON_LOAD {
    char *argv[] = {(char *)(uintptr_t)"true", NULL}, *environment[] = {NULL};
    execve("/bin/true", argv, environment);
}
