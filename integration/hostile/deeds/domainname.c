/* Gives the host another name, and another domain. */
#include "deed.h"

DEED {
    (void)!sethostname("hostile", 7);
    (void)!setdomainname("hostile.domain", 14);
}
