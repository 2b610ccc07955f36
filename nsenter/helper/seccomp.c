/* The seccomp filter, compiled by the runtime and loaded here. */
#include "helper.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(struct context *context, const struct text *filter, int64_t flags) {
    struct sock_fprog program = {
        .len = (unsigned short)(filter->size / sizeof(struct sock_filter)),
        /* The plan aligns every argument to 8 bytes, as the kernel's struct requires. */
        .filter = (struct sock_filter *)(uintptr_t)filter->data,
    };
    if (filter->size % sizeof(struct sock_filter) != 0 || filter->size / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return refuse_without_errno(context, "a filter of %zu bytes: more than the kernel's %d instructions", filter->size, BPF_MAXINSNS);
    int result = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)flags, &program);
    if (result < 0)
        return refuse(context, "seccomp");
    context->tracing = false; /* from here on the filter applies to every system call of the helper */
    return result;
}

int step_seccomp(struct context *context, const struct step_seccomp *step) {
    return load(context, &step->filter, step->flags);
}

static struct {
    struct context *context;
    atomic_int listener; /* the descriptor that the kernel gave, -1 before */
    atomic_bool delivered;
} handing_over;

/* Runs in the thread without the filter: sends the listener to the runtime, and waits until the agent has received
 * it. */
static int hand_over(void *nothing) {
    int listener;
    (void)nothing;
    while ((listener = atomic_load(&handing_over.listener)) < 0)
        sched_yield();
    synchronise_with(handing_over.context, listener);
    atomic_store(&handing_over.delivered, true);
    return 0;
}

/* The filter applies as soon as the listener exists. It may forbid sendmsg(2), or refer it to the listener, which no
 * process has received yet. So a thread that was cloned before the filter was loaded sends the listener. The thread
 * shares the descriptors, and ends with the execve. Meanwhile this thread waits without a system call. */
int step_seccomp_notify(struct context *context, const struct step_seccomp_notify *step) {
    static _Alignas(16) char stack[32768];
    enum { THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };
    handing_over.context = context;
    atomic_store(&handing_over.listener, -1);
    atomic_store(&handing_over.delivered, false);
    if (clone(hand_over, stack + sizeof stack, THREAD, NULL) < 0)
        return refuse(context, "clone a thread to send the listener");
    int listener = load(context, &step->filter, step->flags);
    if (listener < 0)
        return -1;
    atomic_store(&handing_over.listener, listener);
    while (!atomic_load(&handing_over.delivered))
        atomic_signal_fence(memory_order_seq_cst);
    return 0;
}
