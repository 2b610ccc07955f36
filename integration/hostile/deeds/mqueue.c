/* Makes a POSIX message queue, which stays. */
#include "deed.h"

#include <mqueue.h>

DEED {
    mq_open("/pyrunc-hostile", O_CREAT | O_RDWR, 0600, NULL);
}
