/* The seccomp filter, compiled by the runtime and loaded here. */
#include "helper.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int step_seccomp(struct context *context, const union argument *arguments) {
    const struct text *filter = &arguments[0].text;
    struct sock_fprog program = {
        .len = (unsigned short)(filter->size / sizeof(struct sock_filter)),
        /* The plan aligns every argument to 8 bytes, as the kernel's struct wants. */
        .filter = (struct sock_filter *)(uintptr_t)filter->data,
    };
    if (filter->size % sizeof(struct sock_filter) != 0 || filter->size / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return refuse_without_errno(context, "a filter of %zu bytes: more than the kernel's %d instructions", filter->size, BPF_MAXINSNS);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)arguments[1].number, &program) < 0)
        return refuse(context, "seccomp");
    return 0;
}
