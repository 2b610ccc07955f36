/* Loads a library into the init path on purpose (--preload-lib). Only the dynamic build can. */
#include "helper.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int stdio_slot(const struct context *context, int number) { return context->kept + PLACE_SLOTS + SLOT_STDIO + number; }

static bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

void stdio_away(struct context *context) {
    int capture = context->slots[SLOT_CAPTURE];
    for (int number = 0; number <= 2; number++) {
        dup3(number, stdio_slot(context, number), O_CLOEXEC);
        if (number > 0)
            dup2(capture, number);
    }
}

void stdio_back(struct context *context) {
    for (int number = 0; number <= 2; number++)
        if (is_open(stdio_slot(context, number))) {
            dup2(stdio_slot(context, number), number);
            close(stdio_slot(context, number));
        }
}

/* Executed after the process is in the container's cgroups, so that whatever loading does is charged to them. */
int step_exec_helper(struct context *context, const struct step_exec_helper *step) {
    char program[16], preserved[16];
    char *argv[] = {(char *)(uintptr_t)"pyrunc-init", (char *)(uintptr_t)ARGUMENT_LOAD, preserved, program, NULL};
    char **env = list_strings(&step->env);
    if (env == NULL)
        return refuse(context, "memory for the environment");
    snprintf(program, sizeof program, "%d", context->slots[SLOT_STATIC]);
    snprintf(preserved, sizeof preserved, "%d", context->kept - 3);
    fcntl(context->channel, F_SETFD, 0);
    fcntl(context->slots[SLOT_STATIC], F_SETFD, 0);
    for (int slot = SLOT_LIBRARY; slot < SLOT_STDIO; slot++)
        fcntl(context->slots[slot], F_SETFD, 0);
    syscall(SYS_execveat, context->slots[step->slot], "", argv, env, AT_EMPTY_PATH);
    return refuse(context, "execute the dynamic helper");
}

#ifdef PYRUNC_DYNAMIC
#include <dlfcn.h>

int step_load_library(struct context *context, const struct step_load_library *step) {
    char path[64];
    /* By descriptor, so that the file loaded is the file that the runtime has checked. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", context->slots[step->slot]);
    stdio_away(context);
    void *loaded = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    fflush(NULL); /* buffered output of the library goes to the capture file as well */
    stdio_back(context);
    return loaded != NULL ? 0 : refuse_without_errno(context, "%s", dlerror());
}
#else
int step_load_library(struct context *context, const struct step_load_library *step) {
    (void)step;
    return refuse_without_errno(context, "the static helper cannot load a library");
}
#endif
