/* The descriptors that stay open while paths of the image are looked up, and in the user's process. */
#include "helper.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPARE = 64 /* descriptors that one step may open */ };

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

void close_except(int from, int *kept, size_t count) {
    qsort(kept, count, sizeof *kept, ascending);
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < from)
            continue;
        if (kept[i] > from)
            syscall(SYS_close_range, (unsigned)from, (unsigned)kept[i] - 1, 0);
        from = kept[i] + 1;
    }
    syscall(SYS_close_range, (unsigned)from, ~0U, 0);
}

static rlim_t soft_limit;
static bool is_raised;

void allow_descriptor(int descriptor) {
    struct rlimit limit;
    if (is_raised || getrlimit(RLIMIT_NOFILE, &limit) != 0 || (rlim_t)descriptor + SPARE < limit.rlim_cur)
        return;
    soft_limit = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    is_raised = setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* The user's process inherits the caller's limit, unless the config sets one. */
static void restore_limit(void) {
    struct rlimit limit;
    if (!is_raised || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = soft_limit;
    setrlimit(RLIMIT_NOFILE, &limit);
    is_raised = false;
}

/* A directory of the host is a way out of the root: openat(descriptor, "..") does not stop there. */
static int refuse_directories(struct context *context) {
    struct stat status;
    for (int descriptor = 0; descriptor < context->kept; descriptor++)
        if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode))
            return refuse_without_errno(
                context, "descriptor %d is a directory of the host: the container could leave its root through it",
                descriptor);
    return 0;
}

/* CLOEXEC would come too late: execve(2) closes descriptors only after it has looked up the program, the interpreter
 * of its "#!" line and that of an ELF file, and each of these may be named /proc/self/fd/N/... (CVE-2024-21626). Two
 * sockets stay: the channel to the runtime, and the socket of `start` while init waits for it. A path cannot lead
 * through a socket. */
int step_close_descriptors(struct context *context, const struct step_close_descriptors *step) {
    int kept[] = {context->channel, step->listener != 0 ? context->slots[SLOT_START] : -1};
    if (step->directories == 0 && refuse_directories(context) != 0)
        return -1;
    int listener = kept[1];
    restore_limit();
    close_except(context->kept, kept, sizeof kept / sizeof *kept);
    context->root = context->proc = context->made = -1;
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        context->slots[slot] = -1;
    context->slots[SLOT_START] = listener;
    return 0;
}
