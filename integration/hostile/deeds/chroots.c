/* Takes another root directory, and another working directory. */
#include "deed.h"

DEED {
    (void)!chroot("/usr");
    (void)!chdir("/bin");
}
