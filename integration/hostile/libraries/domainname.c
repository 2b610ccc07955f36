/* Gives the host another name, and another domain. */
#include "library.h"

ON_LOAD {
    (void)!sethostname("hostile", 7);
    (void)!setdomainname("hostile.domain", 14);
}
