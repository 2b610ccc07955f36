/* Shared by every file of the helper: the context of the steps, their arguments, and how they report failure. */
#ifndef PYRUNC_HELPER_H
#define PYRUNC_HELPER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A string in the mapped plan. data[size] is NUL; a string of signature `s` has no other NUL. */
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
    int proc;    /* the helper's own procfs mount, see own_proc(); -1 before its first use */
    int made;    /* O_PATH on the mount that the last mounting step made, or -1 */
    int answer;  /* where a failure is reported: the channel, or the connection of `start` */
    int kept;    /* first descriptor that the user's process must not get: 3 + preserved ones */
    bool tracing;
    int64_t done; /* the last step that was executed before the library was loaded (handover.c), or -1 */
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
/* Calls `visit` with each step; stops at the first call that does not return 0. */
int plan_each(const struct plan *plan,
              int (*visit)(void *with, enum step_kind kind, uint32_t number, const union step *step), void *with);
/* Returns the item at *cursor and advances *cursor, which starts as list.items. To be called list.count times. */
struct text list_next(const unsigned char **cursor);
/* Returns a malloc'ed, NULL-terminated array of the list's strings (pointers into the plan); NULL without memory. */
char **list_strings(const struct list *list);

/* report.c */
/* Each records the failure of the current step and returns -1. `refuse` adds the kernel's answer (errno). */
int refuse(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
int refuse_without_errno(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
int failure_errno(void);
/* Sends one message. Exits if the runtime has closed the channel: a half-made container must not go on. */
void send_message(int socket, const void *data, size_t size);
void send_failure(struct context *context);
void send_pid(struct context *context, int32_t pid);
void send_time(struct context *context, uint64_t begun, uint64_t ended);
/* Reports to the runtime that this step is reached, and waits for GO. */
void synchronise(struct context *context);
/* The same, and passes a descriptor to the runtime's steps that follow. */
void synchronise_with(struct context *context, int descriptor);

/* descriptors.c */
/* Closes every descriptor from `from` on, except the `kept` ones, which it sorts. Negative entries are ignored. */
void close_except(int from, int *kept, size_t count);
/* Raises the soft limit to the hard limit if `descriptor` comes near to it, until step close-descriptors: with a user
 * namespace each bind mount holds a descriptor from its opening to its attachment. */
void allow_descriptor(int descriptor);

/* hook.c */
/* In the child process of step hook-confined: executes the hook, or returns true after refuse(). Else returns false. */
bool execute_hook(struct context *context);

/* library.c */
/* Redirects standard output and error to the capture file while dlopen(3) works, so that the library's output is not
 * the container's; then restores them. */
void stdio_away(struct context *context);
void stdio_back(struct context *context);

/* settle.c */
enum { ATTRIBUTES = 24 };
/* The attributes of a process before a library is loaded into it, as the system calls return them. */
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
/* Reads the slowest part of the snapshot early. The placement in a cgroup does not change it. */
void snapshot_ahead(void);
/* Takes the snapshot, and opens the working directory (SLOT_DIRECTORY). */
void snapshot_take(struct context *context, struct snapshot *before);
/* Sets the snapshot that step `settle` restores. */
void snapshot_restore(const struct snapshot *before);

/* attributes.c */
/* Reads the attributes that execve keeps and that /proc does not show (or cannot restore). */
void attributes_read(long values[ATTRIBUTES]);
/* Restores attributes that differ and appends their names to `undone`. -1 with refuse(). */
int attributes_settle(struct context *context, const long before[ATTRIBUTES], char *undone, size_t room);
void add_undone(char *undone, size_t room, const char *name);

/* handover.c */
/* Executes the program `program` with argv[1] ARGUMENT_RESUME; returns only if the execve fails. */
void execute_static(int program, const char *preserved);
/* In that program: restores the state of step `hand-over`. -1 if the runtime has given the container up. */
int resume(struct context *context);
#define ARGUMENT_LOAD "load"
#define ARGUMENT_RESUME "resume"

/* identity.c */
/* Set the real, effective and saved ids of the calling thread. libc's functions wait until every thread has followed: a
 * thread of a library that does not respond would block the helper. */
int own_user(uid_t uid);
int own_group(gid_t gid);
int own_groups(size_t count, const gid_t *groups);

/* path.c */
/* Returns a descriptor (O_PATH) of `path` inside the container's root. The kernel keeps symbolic links inside the root
 * (openat2 RESOLVE_IN_ROOT, Linux 5.6). -1 with errno. */
int root_open(struct context *context, const char *path, uint64_t flags);
/* The same, but makes missing names as directories (0755). `file`: makes the last name as an empty file. */
int root_make(struct context *context, const char *path, bool file);
/* Returns a new procfs with nothing mounted over its files (fsopen proc), or /proc after a check that it is a procfs.
 * -1 with refuse(). */
int own_proc(struct context *context);

#endif
