/* What every file of the helper shares: the context that steps work on, their arguments, and how they fail. */
#ifndef PYRUNC_HELPER_H
#define PYRUNC_HELPER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "steps.h"

/* A slot is a descriptor that one step opens and a later one uses. The first ones are inherited from the runtime,
 * right behind the preserved descriptors, the channel and the plan. */
enum {
    SLOT_START,
    SLOT_CONSOLE,
    SLOT_TARGET,
    SLOT_HELPER,  /* the dynamic build, to be executed with libraries (step exec-helper) */
    SLOT_CAPTURE, /* takes what libraries write to standard output and error while they are loaded */
    SLOT_LIBRARY,
    SLOT_STDIO = SLOT_LIBRARY + 8,   /* the true standard descriptors meanwhile */
    SLOT_DIRECTORY = SLOT_STDIO + 3, /* the working directory meanwhile */
    SLOT_INHERITED,
    SLOT_COUNT = 1024
};

/* A string in the mapped plan; data[size] is NUL, and nothing before it is where the signature says `s`. */
struct text {
    const char *data;
    size_t size;
};

struct list {
    const unsigned char *items;
    size_t count;
};

union argument {
    int64_t number;
    struct text text;
    struct list list;
};

struct context {
    uint32_t step;         /* number in the whole plan, of the step being executed */
    const char *step_name; /* its kind, for messages */
    int channel;
    int root;    /* O_PATH on the container's root (after step `root`), or -1 */
    int proc;    /* our own procfs mount, see own_proc(); -1 until asked for */
    int answer;  /* where a failure is told: the channel, or the connection of `start` */
    int kept;    /* first descriptor that the user's process must not get: 3 + preserved ones */
    bool tracing;
    int64_t done; /* the last step that the helper before us (exec-helper) executed, or -1 */
    bool is_init; /* false before the last clone */
    int slots[SLOT_COUNT];
    char failure[1536];
};

/* plan.c */
struct plan {
    const unsigned char *bytes;
    size_t size;
    uint32_t steps;
};
/* Checks every byte of a plan against the signatures; 0, or -1 with a static reason in *why. */
int plan_open(struct plan *plan, const void *bytes, size_t size, const char **why);
/* Calls `visit` with each step; stops at the first that does not return 0. */
int plan_each(const struct plan *plan,
              int (*visit)(void *with, enum step_kind kind, uint32_t number, const union argument *arguments),
              void *with);
/* The item behind *cursor, which starts as list.items and moves on; call it list.count times. */
struct text list_next(const unsigned char **cursor);
/* A NULL-terminated array of the list's strings (pointers into the plan), malloc'ed; NULL without memory. */
char **list_strings(const struct list *list);

/* report.c */
/* Each records the failure of the current step and returns -1. `refuse` adds the kernel's answer (errno). */
int refuse(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
int refuse_without_errno(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
int failure_errno(void);
/* Sends one message; dies when nobody listens any more, for then nothing half made may go on. */
void send_message(int socket, const void *data, size_t size);
void send_failure(struct context *context);
void send_pid(struct context *context, int32_t pid);
void send_time(struct context *context, uint64_t nanoseconds);
/* Tells the runtime that this step is reached, and waits for its word. */
void synchronise(struct context *context);
/* The same for the runtime's steps behind this one, which are given a descriptor. */
void synchronise_with(struct context *context, int descriptor);

/* library.c */
/* Standard output and error are the capture's while libraries are loaded, so that a container prints what its program
 * prints; then the true ones again. */
void stdio_away(struct context *context);
void stdio_back(struct context *context);

/* settle.c */
/* A process before a library is loaded into it; plain numbers as the system calls give them. */
struct snapshot {
    uint32_t inherited; /* bit N: slot N was filled by the runtime */
    bool is_taken;
    int dumpable, securebits, timer_slack, huge_pages_off, personality, io_priority, memory_mode;
    unsigned umask;
    long keyring;
    uint32_t effective[2], inheritable[2];
    unsigned long memory_nodes[16];
};
enum { SNAPSHOT_TEXT = 2 * sizeof(struct snapshot) + 1 };
void snapshot_take(struct context *context);
bool snapshot_is_taken(void);
/* As a word of argv, from the static build to the dynamic one. */
void snapshot_write(char text[SNAPSHOT_TEXT]);
void snapshot_read(const char *text);

/* identity.c */
/* Real, effective and saved ids of the calling thread. libc's functions have every thread follow, and wait for it: a
 * library's thread that does not answer would hold us up. */
int own_user(uid_t uid);
int own_group(gid_t gid);
int own_groups(size_t count, const gid_t *groups);

/* path.c */
/* Descriptor (O_PATH) of `path` inside the container's root, symbolic links kept inside of it by the kernel
 * (openat2 RESOLVE_IN_ROOT, Linux 5.6); -1 with errno. */
int root_open(struct context *context, const char *path, uint64_t flags);
/* The same, with what is missing made as directories (0755); `file`: the last name is made as an empty file. */
int root_make(struct context *context, const char *path, bool file);
/* A procfs of our own that nothing is mounted over (fsopen proc), or /proc checked to be procfs. -1 with refuse(). */
int own_proc(struct context *context);

#define STEP_DECLARE(KIND, name, text, signature) int step_##name(struct context *, const union argument *);
STEP_LIST(STEP_DECLARE)
#undef STEP_DECLARE

#endif
