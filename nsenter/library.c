/* Loading a library into the init path on purpose (--preload-lib); only the dynamic build can. */
#include "helper.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int stdio_slot(const struct context *context, int number) { return context->kept + 2 + SLOT_STDIO + number; }

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

/* Executed when we are in our cgroups already: whatever loading does is done in there, and charged to them. */
int step_exec_helper(struct context *context, const union argument *arguments) {
    char kept[16], done[24], path[48], before[SNAPSHOT_TEXT];
    char *argv[] = {(char *)(uintptr_t)"pyrunc-init", kept, done, before, NULL};
    char **env = list_strings(&arguments[1].list);
    snprintf(kept, sizeof kept, "%d", context->kept - 3);
    snprintf(done, sizeof done, "%u", context->step);
    snprintf(path, sizeof path, "/proc/self/fd/%d", context->slots[arguments[0].number]);
    if (env == NULL)
        return refuse(context, "memory for the environment");
    snapshot_take(context);
    snapshot_write(before);
    stdio_away(context);
    for (int i = context->channel; i < context->kept + 2 + SLOT_INHERITED; i++)
        fcntl(i, F_SETFD, 0);
    execve(path, argv, env);
    stdio_back(context);
    return refuse(context, "execute the dynamic helper");
}

#ifdef PYRUNC_DYNAMIC
#include <dlfcn.h>

int step_load_library(struct context *context, const union argument *arguments) {
    char path[64];
    /* By descriptor: what the runtime has checked is what is loaded. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", context->slots[arguments[0].number]);
    if (!snapshot_is_taken())
        snapshot_take(context);
    stdio_away(context);
    void *loaded = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    fflush(NULL); /* what it has only buffered is not the container's, either */
    stdio_back(context);
    return loaded != NULL ? 0 : refuse_without_errno(context, "%s", dlerror());
}
#else
int step_load_library(struct context *context, const union argument *arguments) {
    (void)arguments;
    return refuse_without_errno(context, "the static helper cannot load a library");
}
#endif
