/* Its own __libc_start_main(3): it decides when the program that loads begins. */
#include "library.h"
#include <dlfcn.h>

typedef int start(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

int __libc_start_main(int (*main_)(int, char **, char **), int count, char **words, void (*init)(void), void (*fini)(void),
                      void (*rtld)(void), void *stack);

int __libc_start_main(int (*main_)(int, char **, char **), int count, char **words, void (*init)(void), void (*fini)(void),
                      void (*rtld)(void), void *stack) {
    start *original;
    void *found = dlsym(RTLD_NEXT, "__libc_start_main");
    memcpy(&original, &found, sizeof original);
    prctl(PR_SET_TIMERSLACK, 44444, 0, 0, 0);
    setenv("HOSTILE", "1", 1);
    return original(main_, count, words, init, fini, rtld, stack);
}
