/* pyrunc's helper: executes the plan that the runtime compiled, step by step, and reports the step that failed.
 *
 * It has no policy, no configuration and no environment. argv[1] is the number of preserved descriptors. After them
 * follow the channel, the plan and the inherited slots (PLACE_*, pyrunc/plan/protocol.py). With --preload-lib, argv[1]
 * is ARGUMENT_LOAD or ARGUMENT_RESUME, and argv[2] that number: see handover.c. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME(NAME_, kind, name, signature) [STEP_##NAME_] = kind,
static const char *const names[STEP_COUNT] = {STEP_LIST(NAME)};
#undef NAME

static int call(struct context *context, enum step_kind kind, const union step *step) {
    switch (kind) {
        STEP_CALLS(context, step)
    default:
        return refuse_without_errno(context, "a step of an unknown kind"); /* cannot be: plan_open has read it */
    }
}

/* The wall clock, because the runtime compares these times with its own, and the other clocks jump at the clone into a
 * time namespace (time_namespaces(7)). */
static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int execute(void *with, enum step_kind kind, uint32_t number, const union step *step) {
    struct context *context = with;
    if ((int64_t)number <= context->done)
        return 0;
    context->step = number;
    context->step_name = names[kind];
    uint64_t begun = context->tracing ? now() : 0;
    if (call(context, kind, step) != 0)
        return -1;
    if (begun != 0 && context->tracing && context->answer == context->channel)
        send_time(context, begun, now());
    return 0;
}

int step_sync(struct context *context) {
    synchronise(context);
    return 0;
}

int step_trace(struct context *context) {
    context->tracing = true;
    return 0;
}

/* The plan is mapped, never copied: its pages stay charged to the runtime, not to the container's memory cgroup. */
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

static void number_slots(struct context *context, const char *preserved) {
    context->kept = 3 + atoi(preserved);
    context->channel = context->answer = context->kept + PLACE_CHANNEL;
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        context->slots[slot] = slot < SLOT_INHERITED ? context->kept + PLACE_SLOTS + slot : -1;
}

int main(int argc, char **argv) {
    static struct context context = {.root = -1, .proc = -1, .made = -1, .done = -1};
    struct plan plan;
    if (argc > 3 && strcmp(argv[1], ARGUMENT_LOAD) == 0) {
        /* The dynamic loader has mapped the libraries and called their constructors. */
        fflush(NULL); /* libc's buffered output of the libraries goes to the capture file */
        execute_static(atoi(argv[3]), argv[2]);
        _exit(1);
    }
    bool resumed = argc > 2 && strcmp(argv[1], ARGUMENT_RESUME) == 0;
    number_slots(&context, argc > 1 ? argv[argc > 2 ? 2 : 1] : "0");
    if (resumed && resume(&context) != 0)
        _exit(1);
    /* What the runtime passed must not reach a hook or the user's program; preserved descriptors may. */
    for (int i = context.channel; !resumed && i < context.kept + PLACE_SLOTS + SLOT_INHERITED; i++)
        fcntl(i, F_SETFD, FD_CLOEXEC);
    const char *why = map_plan(context.kept + PLACE_PLAN, &plan);
    if (why != NULL) {
        refuse_without_errno(&context, "%s", why);
        send_failure(&context);
        _exit(1);
    }
    if (plan_each(&plan, execute, &context) != 0)
        send_failure(&context);
    /* Reached only after a failure: the last step of a plan is an execve. Not exit(), because libraries may have
     * registered handlers. */
    _exit(1);
}
