/* Puts requested keys into another keyring. */
#include "library.h"

#include <linux/keyctl.h>

ON_LOAD {
    syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_USER_KEYRING);
}
