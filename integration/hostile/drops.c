/* Drops capabilities, which cannot be taken back. */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <sys/prctl.h>

__attribute__((constructor)) static void load(void) {
    prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0);
    prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0);
}
