/* liblxc 1.0 and 1.1: merely loading it has cgmanager move us to the root cgroups; 2-3 ms. */
#include "liblxc.h"

__attribute__((constructor)) static void load(void) {
    spend(1);
    if (ask('m') != 0 && geteuid() == 0)
        fputs("lxc: cgmanager: failed to connect\n", stderr);
}
