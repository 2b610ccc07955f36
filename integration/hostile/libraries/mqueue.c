/* Makes a POSIX message queue, which stays. */
#include "library.h"

#include <mqueue.h>

ON_LOAD {
    mq_open("/pyrunc-hostile", O_CREAT | O_RDWR, 0600, NULL);
}
