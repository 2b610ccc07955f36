/* Loading a library into the init path on purpose (--preload-at init); only the dynamic build can. */
#include "helper.h"

#ifdef PYRUNC_DYNAMIC
#include <dlfcn.h>
#include <stdio.h>

int step_load_library(struct context *context, const union argument *arguments) {
    char path[64];
    /* By descriptor: what the runtime has checked is what is loaded. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", context->slots[arguments[0].number]);
    return dlopen(path, RTLD_NOW | RTLD_GLOBAL) != NULL ? 0 : refuse_without_errno(context, "%s", dlerror());
}
#else
int step_load_library(struct context *context, const union argument *arguments) {
    (void)arguments;
    return refuse_without_errno(context, "the static helper cannot load a library");
}
#endif
