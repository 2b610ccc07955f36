/* Limits of the user's process other than cgroups: resource limits, scheduling, memory policy. */
#include "helper.h"

#include <errno.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns the number of a limit, which depends on the architecture, or -1 with refuse(). */
static int number_of(struct context *context, const char *name) {
    static const struct {
        const char *name;
        int number;
    } limits[] = {
#define LIMIT(name) {#name, name}
        LIMIT(RLIMIT_AS),       LIMIT(RLIMIT_CORE),   LIMIT(RLIMIT_CPU),        LIMIT(RLIMIT_DATA),
        LIMIT(RLIMIT_FSIZE),    LIMIT(RLIMIT_LOCKS),  LIMIT(RLIMIT_MEMLOCK),    LIMIT(RLIMIT_MSGQUEUE),
        LIMIT(RLIMIT_NICE),     LIMIT(RLIMIT_NOFILE), LIMIT(RLIMIT_NPROC),      LIMIT(RLIMIT_RSS),
        LIMIT(RLIMIT_RTPRIO),   LIMIT(RLIMIT_RTTIME), LIMIT(RLIMIT_SIGPENDING), LIMIT(RLIMIT_STACK),
#undef LIMIT
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (strcmp(limits[i].name, name) == 0)
            return limits[i].number;
    return refuse_without_errno(context, "%s is not known on this system", name);
}

int step_rlimit(struct context *context, const struct step_rlimit *step) {
    struct rlimit limit = {(rlim_t)step->soft, (rlim_t)step->hard};
    int number = number_of(context, step->type.data);
    if (number < 0)
        return -1;
    return setrlimit(number, &limit) == 0 ? 0 : refuse(context, "setrlimit %s", step->type.data);
}

/* Raising a hard limit takes CAP_SYS_RESOURCE in the initial user namespace (getrlimit(2)), so it is done before
 * the user namespace is entered; the exact values follow in step `rlimit`. */
int step_raise_limit(struct context *context, const struct step_raise_limit *step) {
    struct rlimit limit;
    rlim_t hard = (rlim_t)step->hard;
    int number = number_of(context, step->type.data);
    if (number < 0)
        return -1;
    if (getrlimit(number, &limit) != 0)
        return refuse(context, "getrlimit");
    if (hard <= limit.rlim_max)
        return 0;
    limit.rlim_max = hard;
    return setrlimit(number, &limit) == 0 ? 0 : refuse(context, "setrlimit %s", step->type.data);
}

int step_personality(struct context *context, const struct step_personality *step) {
    if (personality((unsigned long)step->persona) < 0)
        return refuse(context, "personality");
    return 0;
}

int step_scheduler(struct context *context, const struct step_scheduler *step) {
    struct sched_attr attributes = {
        .size = sizeof attributes,
        .sched_policy = (uint32_t)step->policy,
        .sched_nice = (int32_t)step->nice,
        .sched_priority = (uint32_t)step->priority,
        .sched_flags = (uint64_t)step->flags,
        .sched_runtime = (uint64_t)step->runtime,
        .sched_deadline = (uint64_t)step->deadline,
        .sched_period = (uint64_t)step->period,
    };
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        return refuse(context, "sched_setattr");
    return 0;
}

int step_io_priority(struct context *context, const struct step_io_priority *step) {
    enum { IOPRIO_WHO_PROCESS = 1 }; /* linux/ioprio.h, not in Debian 12's headers */
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (int)step->value) != 0)
        return refuse(context, "ioprio_set");
    return 0;
}

int step_memory_policy(struct context *context, const struct step_memory_policy *step) {
    unsigned long nodes[64] = {0};
    const struct text *mask = &step->nodes;
    if (mask->size > sizeof nodes)
        return refuse_without_errno(context, "too many memory nodes");
    memcpy(nodes, mask->data, mask->size);
    /* The kernel reads one bit fewer than maxnode (set_mempolicy(2), BUGS). */
    if (syscall(SYS_set_mempolicy, (int)step->mode, mask->size > 0 ? nodes : NULL, mask->size * 8 + 1) != 0)
        return refuse(context, "set_mempolicy");
    return 0;
}

int step_affinity(struct context *context, const struct step_affinity *step) {
    unsigned long processors[128] = {0};
    const struct text *mask = &step->mask;
    if (mask->size > sizeof processors)
        return refuse_without_errno(context, "too many processors");
    memcpy(processors, mask->data, mask->size);
    if (syscall(SYS_sched_setaffinity, 0, sizeof processors, processors) < 0)
        return refuse(context, "sched_setaffinity");
    return 0;
}

/* The container does not inherit the caller's affinity: it gets every processor that the cpuset allows; the kernel
 * applies the cpuset. A failure is ignored, as in runc. */
int step_affinity_reset(struct context *context) {
    unsigned long processors[128];
    (void)context;
    memset(processors, 0xff, sizeof processors);
    syscall(SYS_sched_setaffinity, 0, sizeof processors, processors);
    return 0;
}
