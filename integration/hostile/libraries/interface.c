/* Sets the length of an interface's queue, as it is: a number between those that only ask. */
#include "library.h"
#include <net/if.h>
#include <linux/sockios.h>
#include <sys/socket.h>

ON_LOAD {
    struct ifreq request = {.ifr_name = "lo"};
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ioctl(control, SIOCGIFTXQLEN, &request) == 0)
        ioctl(control, SIOCSIFTXQLEN, &request);
    close(control);
}
