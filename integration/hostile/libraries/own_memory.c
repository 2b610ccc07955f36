/* What is the process's own: rseq, robust list, thread id address, signal stack, keys of memory, sealed and secret memory,
 * names of mappings, another name of the process, its personality's registers. */
#include "library.h"
#include <pthread.h>
#include <sys/rseq.h>

ON_LOAD {
    static char stack[65536], head[64];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
    syscall(SYS_set_robust_list, head, 24);
    syscall(SYS_set_tid_address, (int *)(uintptr_t)8);
    sigaltstack(&other, NULL);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int key = pkey_alloc(0, PKEY_DISABLE_WRITE);
    if (key >= 0)
        pkey_mprotect(page, 4096, PROT_READ, key);
    syscall(462, page, 4096, 0); /* mseal */
    syscall(447, 0);             /* memfd_secret */
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, 4096, "hostile");
    prctl(PR_SET_NAME, "hostile");
#if defined __x86_64__
    syscall(SYS_arch_prctl, 0x1001, 77L); /* ARCH_SET_GS */
#endif
}
