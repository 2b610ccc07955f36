/* Gives the network namespace another sysctl: of the container, at `init`. */
#include "library.h"

ON_LOAD {
    put("/proc/sys/net/ipv4/ip_default_ttl", "77");
}
