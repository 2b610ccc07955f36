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

/* A string in the mapped plan; data[size] is NUL, and nothing before it is where the signature says `s`. */
struct text {
    const char *data;
    size_t size;
};

struct list {
    const unsigned char *items;
    size_t count;
};

#include "steps.h" /* generated: the steps with their arguments, slots, messages */

struct context {
    uint32_t step;         /* number in the whole plan, of the step being executed */
    const char *step_name; /* its kind, for messages */
    int channel;
    int root;    /* O_PATH on the container's root (after step `root`), or -1 */
    int proc;    /* our own procfs mount, see own_proc(); -1 until asked for */
    int made;    /* O_PATH on the mount that the last mounting step made, or -1 */
    int answer;  /* where a failure is told: the channel, or the connection of `start` */
    int kept;    /* first descriptor that the user's process must not get: 3 + preserved ones */
    bool tracing;
    int64_t done; /* the last step that the helper before us executed (handover.c), or -1 */
    bool is_init; /* false before the last clone */
    int slots[SLOT_COUNT];
    char failure[ERROR_SIZE];
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
              int (*visit)(void *with, enum step_kind kind, uint32_t number, const union step *step), void *with);
/* The item at *cursor, which starts as list.items and moves on; call it list.count times. */
struct text list_next(const unsigned char **cursor);
/* A NULL-terminated array of the list's strings (pointers into the plan), malloc'ed; NULL without memory. */
char **list_strings(const struct list *list);

/* report.c */
/* Each records the failure of the current step and returns -1. `refuse` adds the kernel's answer (errno). */
int refuse(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
int refuse_without_errno(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
int failure_errno(void);
/* Sends one message. Exits when the runtime has closed the channel: a container half made must not go on. */
void send_message(int socket, const void *data, size_t size);
void send_failure(struct context *context);
void send_pid(struct context *context, int32_t pid);
void send_time(struct context *context, uint64_t begun, uint64_t ended);
/* Tells the runtime that this step is reached, and waits for GO. */
void synchronise(struct context *context);
/* The same for the runtime's steps that follow, which are given a descriptor. */
void synchronise_with(struct context *context, int descriptor);

/* descriptors.c */
/* Closes every descriptor from `from` on, except the `kept` ones, which it sorts; negative ones are none. */
void close_except(int from, int *kept, size_t count);
/* Raises the soft limit to the hard one where the kept `descriptor` comes near to it, until step close-descriptors: with
 * a user namespace a bind mount takes one from its opening to its turn. */
void allow_descriptor(int descriptor);

/* hook.c */
/* In a process that is to be a hook (step hook-confined): becomes it, or returns true after refuse(); else false. */
bool execute_hook(struct context *context);

/* library.c */
/* Standard output and error are the capture's while dlopen(3) works, so that a container prints what its program
 * prints; then the true ones again. */
void stdio_away(struct context *context);
void stdio_back(struct context *context);

/* settle.c */
enum { ATTRIBUTES = 24 };
/* A process before a library is loaded into it; plain numbers as the system calls give them. */
struct snapshot {
    long attributes[ATTRIBUTES];
    int memory_mode;
    unsigned umask;
    long keyring;
    uint32_t effective[2], inheritable[2];
    unsigned long memory_nodes[16];
    struct scheduling { /* struct sched_attr of linux/sched/types.h */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
        uint32_t clamp_min, clamp_max;
    } scheduling;
};
/* The part of it that takes longest, and no placement in a cgroup changes: so that it need not be read later. */
void snapshot_ahead(void);
/* Opens the working directory as well (SLOT_DIRECTORY). */
void snapshot_take(struct context *context, struct snapshot *before);
/* The state that step `settle` restores. */
void snapshot_restore(const struct snapshot *before);

/* attributes.c */
/* All that execve keeps of a process, and /proc does not show (or does not let us restore). */
void attributes_read(long values[ATTRIBUTES]);
/* Puts back what differs; its names go to `undone`. -1 with refuse(). */
int attributes_settle(struct context *context, const long before[ATTRIBUTES], char *undone, size_t room);
void add_undone(char *undone, size_t room, const char *name);

/* handover.c */
/* The program `program` with argv[1] ARGUMENT_RESUME; comes back when it can't be executed. */
void execute_static(int program, const char *preserved);
/* In that program: everything as it was at step `hand-over`. -1 when the runtime has given the container up. */
int resume(struct context *context);
#define ARGUMENT_LOAD "load"
#define ARGUMENT_RESUME "resume"

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

#endif
