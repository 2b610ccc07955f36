/* Serves faults of its own memory by a thread (userfaultfd). */
#include "library.h"
#include <linux/userfaultfd.h>

ON_LOAD {
    int faults = (int)syscall(SYS_userfaultfd, O_NONBLOCK);
    struct uffdio_api api = {.api = UFFD_API};
    ioctl(faults, UFFDIO_API, &api);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {.range = {(uintptr_t)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    ioctl(faults, UFFDIO_REGISTER, &range);
}
