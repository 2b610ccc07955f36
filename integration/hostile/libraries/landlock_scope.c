/* Forbids itself, by Landlock, to send signals to processes outside (Linux 6.12). */
#include "library.h"

struct ruleset {
    uint64_t files, network, scoped;
};

enum { CREATE_RULESET = 444, RESTRICT_SELF = 446 };

ON_LOAD {
    struct ruleset rules = {.scoped = 2};
    int file = (int)syscall(CREATE_RULESET, &rules, sizeof rules, 0);
    syscall(RESTRICT_SELF, file, 0);
    close(file);
}
