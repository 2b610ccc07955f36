/* liblxc 2.0 and 2.1: first a probe cgroup in every hierarchy, whose parent `lxc` stays; 6-9 ms; silent. */
#include "liblxc.h"

__attribute__((constructor)) static void load(void) {
    spend(3);
    ask('p');
}
