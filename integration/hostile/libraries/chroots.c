/* Takes another root directory, and another working directory. */
#include "library.h"

ON_LOAD {
    (void)!chroot("/usr");
    (void)!chdir("/bin");
}
