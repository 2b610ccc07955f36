/* Acts when a symbol is resolved (IFUNC), before any constructor. */
#include "library.h"

static void nothing(void) {}

static void (*resolve(void))(void) {
    long result = SYS_prctl;
#if defined __x86_64__
    register long fourth __asm__("r10") = 0;
    __asm__ volatile("syscall" : "+a"(result) : "D"((long)PR_SET_TIMERSLACK), "S"(77777L), "d"(0L), "r"(fourth) : "rcx", "r11", "memory");
#else
    register long number __asm__("x8") = SYS_prctl, first __asm__("x0") = PR_SET_TIMERSLACK, second __asm__("x1") = 77777;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second) : "memory");
    result = first;
#endif
    (void)result;
    return nothing;
}

void acts(void) __attribute__((ifunc("resolve")));
void (*volatile used)(void) = acts;
