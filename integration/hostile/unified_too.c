/* As own_write, and says so: the v2 hierarchy, which liblxc's daemon leaves alone, is moved, too. */
#define _GNU_SOURCE
#include <stdio.h>
#include "top.h"

__attribute__((constructor)) static void load(void) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    move_to_top(pid);
}
