/* Loads argv[1], if there is one, with dlopen(3), and ends: what strace sees between the marks is the library's account
 * (soak_debian.py). The marks are writes to no descriptor. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* Not by way of libc, whose write(2) the library may have replaced. */
static void mark(const char *text) {
#if defined __x86_64__
    long result = SYS_write;
    __asm__ volatile("syscall" : "+a"(result) : "D"(-1L), "S"(text), "d"(strlen(text)) : "rcx", "r11", "memory");
#else
    register long number __asm__("x8") = SYS_write, first __asm__("x0") = -1, second __asm__("x1") = (long)text,
                         third __asm__("x2") = (long)strlen(text);
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third) : "memory");
#endif
}

int main(int argc, char **argv) {
    mark("begin");
    for (char **variable = environ; *variable != NULL; variable++)
        mark(*variable);
    mark("load");
    if (argc > 1 && dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    mark("loaded");
    usleep(200000);
    for (char **variable = environ; *variable != NULL; variable++)
        mark(*variable);
    mark("end");
    return 0;
}
