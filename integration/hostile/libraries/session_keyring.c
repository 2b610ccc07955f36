/* Joins a session keyring of its own, and adds a key to it. */
#include "library.h"

ON_LOAD {
    syscall(SYS_keyctl, 1, "pyrunc-hostile-session"); /* KEYCTL_JOIN_SESSION_KEYRING */
    syscall(SYS_add_key, "user", "pyrunc-hostile-session-key", "x", 1L, -3);
}
