/* Writes to the kernel's networking by write(2), without an address: a message that does nothing. */
#include "library.h"
#include <linux/netlink.h>
#include <sys/socket.h>

ON_LOAD {
    struct nlmsghdr message = {.nlmsg_len = sizeof message, .nlmsg_type = NLMSG_NOOP, .nlmsg_flags = NLM_F_REQUEST};
    int kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE);
    (void)!write(kernel, &message, sizeof message);
    close(kernel);
}
