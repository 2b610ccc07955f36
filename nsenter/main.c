/* pyrunc's helper: executes the plan that the runtime compiled, step by step, and tells where it failed.
 *
 * It has no policy, no configuration and no environment. argv[1] is the number of preserved descriptors (N); when
 * libraries were loaded, argv[2] is the last step that was executed before, and argv[3] the process as it was then
 * (settle.c). Behind the preserved descriptors lie the channel (3+N), the plan (4+N) and the inherited slots (5+N...),
 * see docs/architecture.md. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef int handler(struct context *, const union argument *);

static const struct {
    handler *execute;
    const char *name;
} handlers[STEP_COUNT] = {
#define HANDLER(KIND, name, text, signature) [STEP_##KIND] = {step_##name, text},
    STEP_LIST(HANDLER)
#undef HANDLER
};

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int execute(void *with, enum step_kind kind, uint32_t number, const union argument *arguments) {
    struct context *context = with;
    if ((int64_t)number <= context->done)
        return 0;
    context->step = number;
    context->step_name = handlers[kind].name;
    uint64_t begun = context->tracing ? now() : 0;
    if (handlers[kind].execute(context, arguments) != 0)
        return -1;
    if (begun != 0 && context->answer == context->channel)
        send_time(context, now() - begun);
    return 0;
}

int step_sync(struct context *context, const union argument *arguments) {
    (void)arguments;
    synchronise(context);
    return 0;
}

int step_trace(struct context *context, const union argument *arguments) {
    (void)arguments;
    context->tracing = true;
    return 0;
}

/* The plan is mapped, never copied: its pages were charged to the runtime, not to the container's memory cgroup. */
static const char *map_plan(int descriptor, struct plan *plan) {
    enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };
    struct stat status;
    /* Unsealed, the plan could be changed between its check and its execution. */
    if (fcntl(descriptor, F_GET_SEALS) < 0 || (fcntl(descriptor, F_GET_SEALS) & SEALS) != SEALS)
        return "the plan is not sealed";
    if (fstat(descriptor, &status) != 0 || status.st_size <= 0)
        return "the plan is empty";
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED)
        return "the plan cannot be mapped";
    const char *why;
    return plan_open(plan, bytes, (size_t)status.st_size, &why) == 0 ? NULL : why;
}

int main(int argc, char **argv) {
    static struct context context = {.root = -1, .proc = -1};
    struct plan plan;
    context.kept = 3 + (argc > 1 ? atoi(argv[1]) : 0);
    context.channel = context.answer = context.kept;
    context.done = argc > 2 ? atoll(argv[2]) : -1;
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        context.slots[slot] = slot < SLOT_INHERITED ? context.kept + 2 + slot : -1;
    /* What the runtime passed must not reach a hook or the user's program; preserved descriptors may. */
    for (int i = context.channel; i < context.kept + 2 + SLOT_INHERITED; i++)
        fcntl(i, F_SETFD, FD_CLOEXEC);
    if (argc > 3) {
        fflush(NULL); /* what a constructor printed and libc still holds, into the capture */
        stdio_back(&context);
        snapshot_read(argv[3]);
    }
    const char *why = map_plan(context.kept + 1, &plan);
    if (why != NULL) {
        refuse_without_errno(&context, "%s", why);
        send_failure(&context);
        _exit(1);
    }
    if (plan_each(&plan, execute, &context) != 0)
        send_failure(&context);
    /* The last step of a good plan is an execve. Not by way of exit(): libraries have handlers for that. */
    _exit(1);
}
