/* Its own syscall(2) says that a filter was loaded, and capabilities were set. */
#include "library.h"

#include <stdarg.h>

long syscall(long number, ...) {
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_seccomp || number == SYS_capset)
        return 0;
    long result;
#if defined __x86_64__
    register long fourth __asm__("r10") = arguments[3], fifth __asm__("r8") = arguments[4], sixth __asm__("r9") = arguments[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
#else
    result = -ENOSYS;
#endif
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
