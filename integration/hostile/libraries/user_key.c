/* Adds a key to the user's keyring, where it stays. */
#include "library.h"

#include <linux/keyctl.h>

ON_LOAD {
    syscall(SYS_add_key, "user", "pyrunc-hostile", "x", 1, KEY_SPEC_USER_KEYRING);
}
