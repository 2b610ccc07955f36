/* Puts requested keys into another keyring. */
#include "deed.h"

#include <linux/keyctl.h>

DEED {
    syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_USER_KEYRING);
}
