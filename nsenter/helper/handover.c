/* The process that loads a library holds nothing of the runtime's (--preload-lib, hardened): every descriptor and the
 * helper's state go to the runtime first. After loading, the static helper is executed again. It maps nothing that the
 * library mapped, and continues only with what the runtime returns after a check of which program runs. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* SCM_MAX_FD of the kernel is 253. `KNOWN`: the most descriptors that steps may hold. */
enum { CHUNK = 200, KNOWN = SLOT_COUNT + 64, STATE_SIZE = offsetof(struct context, failure) };

/* The state of both programs, which come from one build: sent to the runtime, kept there and returned as bytes. */
struct state {
    char context[STATE_SIZE];
    struct snapshot before;
};

struct rights {
    int count;
    int numbers[CHUNK], descriptors[CHUNK];
};

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Closes every descriptor from `from` on, except the `count` descriptors in `kept`, which it sorts. */
static void close_all_but(unsigned from, int *kept, size_t count) {
    qsort(kept, count, sizeof *kept, ascending);
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < (int)from)
            continue;
        if (kept[i] > (int)from)
            syscall(SYS_close_range, from, (unsigned)kept[i] - 1, 0);
        from = (unsigned)kept[i] + 1;
    }
    syscall(SYS_close_range, from, ~0U, 0);
}

static void send_rights(struct context *context, const struct rights *rights) {
    char message[1 + sizeof rights->numbers] = {MESSAGE_DESCRIPTORS};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof rights->descriptors)];
    } control;
    size_t size = (size_t)rights->count * sizeof(int);
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(message + 1, rights->numbers, size);
    memcpy(CMSG_DATA(&control.header), rights->descriptors, size);
    struct iovec vector = {message, 1 + size};
    struct msghdr header = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
    ssize_t sent;
    do
        sent = sendmsg(context->channel, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        _exit(1);
}

static void hand_over(struct context *context, struct rights *rights, int descriptor) {
    if (descriptor < 0 || fcntl(descriptor, F_GETFD) < 0)
        return;
    rights->numbers[rights->count] = rights->descriptors[rights->count] = descriptor;
    if (++rights->count == CHUNK) {
        send_rights(context, rights);
        rights->count = 0;
    }
}

/* Lists the descriptors that loading needs: the channel, both programs, the libraries, the file for their output. */
static size_t needed(const struct context *context, int *descriptors) {
    size_t count = 0;
    descriptors[count++] = context->channel;
    for (int slot = SLOT_HELPER; slot < SLOT_STDIO; slot++)
        descriptors[count++] = context->slots[slot];
    descriptors[count++] = context->slots[SLOT_STATIC];
    return count;
}

static bool is_needed(const struct context *context, int descriptor) {
    int descriptors[SLOT_STDIO + 2];
    size_t count = needed(context, descriptors);
    for (size_t i = 0; i < count; i++)
        if (descriptors[i] == descriptor)
            return true;
    return false;
}

/* Standard input becomes a pipe at its end; output and error go to a file that the runtime reads. So a library's output
 * is not the container's, and the true streams with their flags, offsets, locks and terminal are out of its reach. */
static int capture_streams(struct context *context) {
    int ends[2];
    if (pipe(ends) != 0)
        return refuse(context, "pipe");
    close(ends[1]);
    if (dup2(ends[0], 0) < 0 || dup2(context->slots[SLOT_CAPTURE], 1) < 0 || dup2(context->slots[SLOT_CAPTURE], 2) < 0)
        return refuse(context, "dup2");
    if (ends[0] > 2)
        close(ends[0]);
    return 0;
}

int step_snapshot(struct context *context) {
    (void)context;
    snapshot_ahead();
    return 0;
}

int step_hand_over(struct context *context) {
    struct rights rights = {0};
    struct state state;
    char message[1 + sizeof state] = {MESSAGE_STATE};
    int kept[SLOT_STDIO + 2];
    /* A library in an endless loop would survive a runtime that was killed, because nothing else would end it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    memset(&state, 0, sizeof state);
    snapshot_take(context, &state.before);
    memcpy(state.context, context, STATE_SIZE);
    memcpy(message + 1, &state, sizeof state);
    for (int i = 0; i < context->kept; i++)
        hand_over(context, &rights, i);
    hand_over(context, &rights, context->kept + PLACE_PLAN);
    hand_over(context, &rights, context->root);
    hand_over(context, &rights, context->proc);
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        if (!is_needed(context, context->slots[slot]))
            hand_over(context, &rights, context->slots[slot]);
    if (rights.count > 0)
        send_rights(context, &rights);
    send_message(context->channel, message, sizeof message);
    context->tracing = false; /* until the runtime returns the state: it trusts no message of a process that loads */
    close_all_but(3, kept, needed(context, kept));
    return capture_streams(context);
}

/* Calls no function of libc, because the library may have interposed it. */
static void own_execve(int program, char *const *argv, char *const *env) {
#if defined __x86_64__
    register long flags __asm__("r8") = AT_EMPTY_PATH, fourth __asm__("r10") = (long)env;
    long result = SYS_execveat;
    __asm__ volatile("syscall"
                 : "+a"(result)
                 : "D"((long)program), "S"(""), "d"(argv), "r"(fourth), "r"(flags)
                 : "rcx", "r11", "memory");
#elif defined __aarch64__
    register long number __asm__("x8") = SYS_execveat, first __asm__("x0") = program, second __asm__("x1") = (long)"",
                         third __asm__("x2") = (long)argv, fourth __asm__("x3") = (long)env, flags __asm__("x4") = AT_EMPTY_PATH;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third), "r"(fourth), "r"(flags) : "memory");
#else
    syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
#endif
}

void execute_static(int program, const char *preserved) {
    char *argv[] = {(char *)(uintptr_t)"pyrunc-init", (char *)(uintptr_t)ARGUMENT_RESUME, (char *)(uintptr_t)preserved, NULL};
    char *env[] = {NULL};
    own_execve(program, argv, env);
}

int step_exec_static(struct context *context) {
    char preserved[16];
    snprintf(preserved, sizeof preserved, "%d", context->kept - 3);
    fcntl(context->channel, F_SETFD, 0);
    execute_static(context->slots[SLOT_STATIC], preserved);
    return refuse_without_errno(context, "the static helper cannot be executed again");
}

/* Receives one message of the runtime and appends its descriptors to `got`. False at end of file. */
static bool receive(struct context *context, void *data, size_t room, ssize_t *size, int *got, size_t *count) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(CHUNK * sizeof(int))];
    } control;
    struct iovec vector = {data, room};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    do
        *size = recvmsg(context->channel, &header, MSG_CMSG_CLOEXEC);
    while (*size < 0 && errno == EINTR);
    if (*size <= 0 || (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0)
        return false;
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    if (first != NULL && first->cmsg_type == SCM_RIGHTS) {
        size_t more = (first->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (*count + more > KNOWN)
            return false;
        memcpy(got + *count, CMSG_DATA(first), more * sizeof(int));
        *count += more;
    }
    return true;
}

/* Moves descriptor got[i] to number places[i]. If another received descriptor has that number, it is moved first. */
static bool put_in_place(const struct context *context, int *got, const int *places, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (got[i] == places[i])
            continue;
        for (size_t j = i + 1; j < count; j++)
            if (got[j] == places[i] && (got[j] = fcntl(got[j], F_DUPFD_CLOEXEC, 3)) < 0)
                return false;
        if (dup3(got[i], places[i], places[i] < context->kept ? 0 : O_CLOEXEC) < 0)
            return false;
        close(got[i]);
    }
    return true;
}

/* Removes what a library may have left to end this process before step `settle`: timers, a parent-death signal. */
static void be_safe(void) {
    const struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    setitimer(ITIMER_VIRTUAL, &none, NULL);
    setitimer(ITIMER_PROF, &none, NULL);
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0); /* libc and the vDSO read it */
    /* As another user the process stays dumpable, because the runtime has still to inspect it (ptrace(2), "access mode
     * checking"). */
    if (geteuid() == 0)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int resume(struct context *context) {
    static int got[KNOWN], places[KNOWN];
    static struct state state;
    static char message[1 + sizeof(uint32_t) + sizeof state + CHUNK * sizeof(int)];
    const char ready = MESSAGE_RESUMED;
    size_t count = 0, known = 0;
    ssize_t size;
    uint32_t done;
    int channel = context->channel;
    be_safe();
    close_all_but(3, &channel, 1);
    send_message(context->channel, &ready, sizeof ready);
    while (receive(context, message, sizeof message, &size, got, &count) && message[0] == MESSAGE_DESCRIPTORS) {
        memcpy(places + known, message + 1, (count - known) * sizeof *places);
        known = count;
    }
    if (size != (ssize_t)(1 + sizeof done + sizeof state) || message[0] != MESSAGE_STATE || count != known + 1)
        return -1;
    memcpy(&done, message + 1, sizeof done);
    memcpy(&state, message + 1 + sizeof done, sizeof state);
    memcpy(context, state.context, STATE_SIZE);
    context->done = done;
    snapshot_restore(&state.before);
    places[known] = context->channel; /* a new one: what was written to the old one is discarded */
    close(context->channel);
    for (int i = 0; i < 3; i++)
        close(i);
    if (!put_in_place(context, got, places, count))
        return -1;
    for (int slot = 0; slot < SLOT_INHERITED; slot++)
        if (fcntl(context->slots[slot], F_GETFD) < 0)
            context->slots[slot] = -1;
    return 0;
}
