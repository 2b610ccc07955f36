/* Its own recvmsg(2), sendmsg(2), setns(2), clone(2), mmap(2) and open(2) do nothing well. */
#include "library.h"
#include <sys/socket.h>

ssize_t recvmsg(int descriptor, struct msghdr *message, int flags) {
    (void)descriptor;
    (void)message;
    (void)flags;
    return 0;
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    (void)descriptor;
    (void)message;
    (void)flags;
    return 0;
}

int setns(int descriptor, int type) {
    (void)descriptor;
    (void)type;
    return 0;
}

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data) {
    (void)source;
    (void)target;
    (void)type;
    (void)flags;
    (void)data;
    return 0;
}
