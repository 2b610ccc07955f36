/* Messages from the helper to the runtime: one datagram each, the first byte is the type (docs/architecture.md). */
#include "helper.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed_with;

static void compose(struct context *context, const char *format, va_list values) {
    vsnprintf(context->failure, sizeof context->failure, format, values);
}

int refuse(struct context *context, const char *format, ...) {
    failed_with = errno;
    va_list values;
    va_start(values, format);
    compose(context, format, values);
    va_end(values);
    size_t used = strlen(context->failure);
    snprintf(context->failure + used, sizeof context->failure - used, ": %s", strerror(failed_with));
    /* Engines match the kernel's messages in lower case, as Go writes them. */
    if (used + 2 < sizeof context->failure && context->failure[used + 2] >= 'A' && context->failure[used + 2] <= 'Z')
        context->failure[used + 2] = (char)(context->failure[used + 2] - 'A' + 'a');
    return -1;
}

int refuse_without_errno(struct context *context, const char *format, ...) {
    failed_with = 0;
    va_list values;
    va_start(values, format);
    compose(context, format, values);
    va_end(values);
    return -1;
}

int failure_errno(void) { return failed_with; }

void send_message(int socket, const void *data, size_t size) {
    ssize_t sent;
    do
        sent = send(socket, data, size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        _exit(1);
}

/* Sends a message that begins with a type and the number of the step. */
static void send_step(struct context *context, int socket, char type, const void *data, size_t size) {
    char message[MESSAGE_SIZE];
    message[0] = type;
    memcpy(message + 1, &context->step, sizeof context->step);
    if (size > 0)
        memcpy(message + 1 + sizeof context->step, data, size);
    send_message(socket, message, 1 + sizeof context->step + size);
}

void send_failure(struct context *context) {
    char data[sizeof(int32_t) + sizeof context->failure];
    int32_t number = failed_with;
    size_t length = strlen(context->failure);
    memcpy(data, &number, sizeof number);
    memcpy(data + sizeof number, context->failure, length);
    send_step(context, context->answer, MESSAGE_ERROR, data, sizeof number + length);
}

void send_pid(struct context *context, int32_t pid) {
    char message[1 + sizeof pid] = {MESSAGE_PID};
    memcpy(message + 1, &pid, sizeof pid);
    send_message(context->channel, message, sizeof message);
}

void send_time(struct context *context, uint64_t begun, uint64_t ended) {
    uint64_t times[] = {begun, ended};
    send_step(context, context->channel, MESSAGE_TIME, times, sizeof times);
}

static void await_go(struct context *context) {
    char word;
    ssize_t got;
    do
        got = recv(context->channel, &word, 1, 0);
    while (got < 0 && errno == EINTR);
    /* End of file: the runtime has exited, or has given the container up. */
    if (got != 1 || word != MESSAGE_GO)
        _exit(1);
}

void synchronise(struct context *context) {
    send_step(context, context->channel, MESSAGE_SYNC, NULL, 0);
    await_go(context);
}

void synchronise_with(struct context *context, int descriptor) {
    uint32_t next = context->step + 1;
    char message[1 + sizeof next] = {MESSAGE_SYNC};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof descriptor)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof descriptor), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {message, sizeof message};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(message + 1, &next, sizeof next);
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    ssize_t sent;
    do
        sent = sendmsg(context->channel, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        _exit(1);
    await_go(context);
}
