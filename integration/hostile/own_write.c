/* Writes cgroup.procs of the top of every hierarchy itself, no daemon needed. */
#define _GNU_SOURCE
#include "top.h"

__attribute__((constructor)) static void load(void) { move_to_top("0"); }
