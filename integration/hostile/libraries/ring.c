/* Lifts the limit of processes by io_uring: not one write(2). */
#include "library.h"
#include <linux/io_uring.h>

static void *map(int ring, size_t size, off_t what) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
}

static void write_by_ring(int file, const char *text) {
    struct io_uring_params parameters = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
    if (ring < 0)
        return;
    char *queue = map(ring, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries = map(ring, parameters.sq_entries * sizeof *entries, IORING_OFF_SQES);
    entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = file, .addr = (uint64_t)(uintptr_t)text,
                                       .len = (unsigned)strlen(text)};
    *(unsigned *)(void *)(queue + parameters.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(void *)(queue + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
    syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

ON_LOAD {
    char line[4096], path[8192];
    FILE *own = fopen("/proc/self/cgroup", "re");
    while (own != NULL && fgets(line, sizeof line, own) != NULL) {
        char *place = strstr(line, ":pids:");
        if (place == NULL)
            continue;
        place[strcspn(place, "\n")] = '\0';
        snprintf(path, sizeof path, "/sys/fs/cgroup/pids%s/pids.max", place + 6);
        write_by_ring(open(path, O_WRONLY | O_CLOEXEC), "max");
    }
    if (own != NULL)
        fclose(own);
}
