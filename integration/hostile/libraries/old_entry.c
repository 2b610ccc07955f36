/* Calls by the entry of another architecture (int 0x80 on x86_64; umask(2) is number 60 there). */
#include "library.h"

ON_LOAD {
#if defined __x86_64__
    long result = 60;
    __asm__ volatile("int $0x80" : "+a"(result) : "b"(0777L) : "memory");
#else
    syscall(9999);
#endif
}
