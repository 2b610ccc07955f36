/* Describes a system call in words. */
#include "probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

void clean(char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = '?';
}

size_t peek(pid_t pid, uint64_t address, void *to, size_t size) {
    struct iovec ours = {to, size}, theirs = {(void *)(uintptr_t)address, size};
    ssize_t got = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
    return got < 0 ? 0 : (size_t)got;
}

/* Reads a string page by page, because it may end right before unmapped memory. */
static void peek_text(pid_t pid, uint64_t address, char *text, size_t size) {
    enum { PAGE = 4096 };
    size_t got = 0;
    while (got < size - 1) {
        size_t room = PAGE - (size_t)((address + got) % PAGE), wanted = room < size - 1 - got ? room : size - 1 - got;
        size_t more = peek(pid, address + got, text + got, wanted);
        if (memchr(text + got, '\0', more) != NULL)
            return;
        got += more;
        if (more < wanted)
            break;
    }
    text[got] = '\0';
}

/* The path or object that a descriptor refers to. */
static void link_of(pid_t pid, int descriptor, char *text, size_t size) {
    char link[64];
    if (descriptor == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    else
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, descriptor);
    ssize_t length = readlink(link, text, size - 1);
    text[length < 0 ? 0 : length] = '\0';
}

/* Writes the path from the root to `text`, also for a path that is relative to a directory. */
static void full_path(pid_t pid, int directory, uint64_t address, char *text, size_t size) {
    char base[PATH_MAX], path[PATH_MAX] = "";
    if (address != 0)
        peek_text(pid, address, path, sizeof path);
    if (path[0] == '/') {
        snprintf(text, size, "%s", path);
        return;
    }
    link_of(pid, directory, base, sizeof base);
    snprintf(text, size, path[0] != '\0' ? "%.2000s/%.2000s" : "%.2000s", base, path);
}

static void socket_address(pid_t pid, uint64_t address, uint64_t size, char *text, size_t room) {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        char bytes[sizeof(struct sockaddr_storage)];
    } to = {0};
    char shown[INET6_ADDRSTRLEN];
    size_t got = address == 0 ? 0 : peek(pid, address, &to, size < sizeof to ? (size_t)size : sizeof to);
    if (got < sizeof to.any.sa_family)
        text[0] = '\0';
    else if (to.any.sa_family == AF_UNIX && to.local.sun_path[0] == '\0')
        snprintf(text, room, "unix:@%.*s", (int)(got > 3 ? got - 3 : 0), to.local.sun_path + 1);
    else if (to.any.sa_family == AF_UNIX)
        snprintf(text, room, "unix:%.*s", (int)sizeof to.local.sun_path, to.local.sun_path);
    else if (to.any.sa_family == AF_INET)
        snprintf(text, room, "%s:%u", inet_ntop(AF_INET, &to.four.sin_addr, shown, sizeof shown), ntohs(to.four.sin_port));
    else if (to.any.sa_family == AF_INET6)
        snprintf(text, room, "[%s]:%u", inet_ntop(AF_INET6, &to.six.sin6_addr, shown, sizeof shown), ntohs(to.six.sin6_port));
    else
        snprintf(text, room, "family %d", to.any.sa_family);
}

static bool note_open(struct tracee *who, const uint64_t *arguments, uint64_t flags, bool at) {
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) == 0)
        return false;
    char path[PATH_MAX + 64];
    full_path(who->pid, at ? (int)arguments[0] : AT_FDCWD, arguments[at ? 1 : 0], path, sizeof path);
    snprintf(who->detail, sizeof who->detail, "%s%s", path, (flags & O_CREAT) != 0 ? " (create)" : "");
    return true;
}

/* True for a standard stream and for another descriptor of the same open file. Changes of other descriptors are not
 * reported: they are the library's own. */
static bool is_stream(pid_t pid, uint64_t descriptor) {
    if (descriptor < 3)
        return true;
    for (int stream = 0; stream < 3; stream++)
        if (syscall(SYS_kcmp, pid, pid, KCMP_FILE, descriptor, (unsigned long)stream) == 0)
            return true;
    return false;
}

static bool note_fcntl(struct tracee *who, const uint64_t *arguments) {
    static const int changing[] = {F_SETFL, F_SETOWN, F_SETSIG, F_SETPIPE_SZ, F_SETLK, F_SETLKW, F_SETLEASE, F_NOTIFY, 37, 38, 15};
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        /* A lease is reported on any file: other processes that open the file wait until it ends. */
        if ((int)arguments[1] == changing[i] && (changing[i] == F_SETLEASE || is_stream(who->pid, arguments[0]))) {
            snprintf(who->detail, sizeof who->detail, "descriptor %d, command %d", (int)arguments[0], changing[i]);
            return true;
        }
    return false;
}

static bool note_ioctl(struct tracee *who, const uint64_t *arguments) {
    static const unsigned long reading[] = {TCGETS, TIOCGWINSZ, FIONREAD, TIOCGPGRP, TIOCGSID, FIOCLEX, FIONCLEX, FIONBIO,
                                            TIOCOUTQ, TIOCGPTN, TIOCGPTLCK, TIOCGETD, TIOCGSERIAL,
                                            /* requests that read an interface's name, flags, addresses and the like;
                                             * their numbers show no difference from requests that set */
                                            SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR,
                                            SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR,
                                            SIOCGIFINDEX, SIOCGIFPFLAGS, SIOCGIFCOUNT, SIOCGIFTXQLEN, SIOCGIFMAP,
                                            SIOCGARP, SIOCGRARP, SIOCGPGRP, SIOCATMARK};
    unsigned long command = (unsigned long)(uint32_t)arguments[1];
    char target[PATH_MAX];
    for (size_t i = 0; i < sizeof reading / sizeof *reading; i++)
        if (command == reading[i] && !(command == FIONBIO && is_stream(who->pid, arguments[0])))
            return false;
    if (_IOC_DIR(command) == _IOC_READ)
        return false; /* most requests that only read are encoded so */
    link_of(who->pid, (int)arguments[0], target, sizeof target);
    bool of_terminal = command >= TCSETS && command <= TIOCSETD; /* asm-generic/ioctls.h: 0x5402 to 0x5423 */
    snprintf(who->detail, sizeof who->detail, "%s%#lx on %.2000s", of_terminal ? "terminal: " : "", command, target);
    return true;
}

static bool note_prctl(struct tracee *who, const uint64_t *arguments) {
    static const int asking[] = {
        PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_GET_UNALIGN, PR_GET_KEEPCAPS, PR_GET_FPEMU, PR_GET_FPEXC, PR_GET_TIMING,
        PR_GET_NAME, PR_GET_ENDIAN, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_GET_TSC, PR_GET_SECUREBITS, PR_GET_TIMERSLACK,
        PR_MCE_KILL_GET, PR_GET_CHILD_SUBREAPER, PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_GET_THP_DISABLE,
        PR_GET_FP_MODE, PR_SVE_GET_VL, PR_GET_SPECULATION_CTRL, PR_GET_TAGGED_ADDR_CTRL, PR_GET_IO_FLUSHER, 64, 66, 68, 70,
        PR_SET_NAME, PR_SET_VMA,
    };
    int option = (int)arguments[0];
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        if (option == asking[i])
            return false;
    if (option == PR_CAP_AMBIENT && arguments[1] == PR_CAP_AMBIENT_IS_SET)
        return false;
    snprintf(who->detail, sizeof who->detail, "option %d, %#llx", option, (unsigned long long)arguments[1]);
    return true;
}

static bool note_keyctl(struct tracee *who, const uint64_t *arguments) {
    static const unsigned asking[] = {KEYCTL_GET_KEYRING_ID, KEYCTL_DESCRIBE, KEYCTL_SEARCH, KEYCTL_READ,
                                      KEYCTL_GET_SECURITY, KEYCTL_CAPABILITIES};
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        if (arguments[0] == asking[i])
            return arguments[0] == KEYCTL_GET_KEYRING_ID ? arguments[2] != 0 /* creates a keyring */
                                                         : arguments[0] == KEYCTL_SEARCH && arguments[4] != 0; /* links */
    snprintf(who->detail, sizeof who->detail, "operation %d", (int)arguments[0]);
    return true;
}

/* CLONE_UNTRACED hides a child process from the tracer (clone(2)). The changes of such a child fail, because it
 * inherits the filter, but they cannot be reported: the clone is reported instead. */
static bool note_clone(struct tracee *who, uint64_t flags) {
    snprintf(who->detail, sizeof who->detail, "flags %#llx", (unsigned long long)flags);
    return (flags & CLONE_UNTRACED) != 0;
}

/* Reports sockets on which a plain write, without an address, changes something outside of the process (netlink(7),
 * packet(7), raw(7)). */
static bool note_socket(struct tracee *who, const uint64_t *arguments) {
    int domain = (int)arguments[0], kind = (int)arguments[1] & 0xf;
    snprintf(who->detail, sizeof who->detail, "family %d, type %d", domain, kind);
    return kind == SOCK_RAW || !(domain == AF_UNIX || domain == AF_INET || domain == AF_INET6);
}

/* Handles calls whose arguments decide whether they change anything. False: the call changes nothing. */
static bool note_by_arguments(struct tracee *who, char how, const uint64_t *arguments) {
    uint64_t flags = 0;
    switch (how) {
    case 'o':
        return note_open(who, arguments, arguments[1], false);
    case 'O':
        return note_open(who, arguments, arguments[2], true);
    case 'H':
        return peek(who->pid, arguments[2], &flags, sizeof flags) == sizeof flags && note_open(who, arguments, flags, true);
    case 'f':
        return note_fcntl(who, arguments);
    case 's': /* lseek: other processes share the position of the standard streams */
        snprintf(who->detail, sizeof who->detail, "descriptor %d, position %lld", (int)arguments[0], (long long)arguments[1]);
        return is_stream(who->pid, arguments[0]) && !(arguments[1] == 0 && arguments[2] == SEEK_CUR);
    case 'c':
        return note_clone(who, arguments[0]);
    case 'C':
        return peek(who->pid, arguments[0], &flags, sizeof flags) == sizeof flags && note_clone(who, flags);
    case 'n':
        return note_socket(who, arguments);
    case 'y': /* syslog: 3 (READ_ALL), 9 (SIZE_UNREAD) and 10 (SIZE_BUFFER) only read */
        snprintf(who->detail, sizeof who->detail, "action %d", (int)arguments[0]);
        return arguments[0] != 3 && arguments[0] < 9;
    case 'e': /* seccomp: GET_ACTION_AVAIL and GET_NOTIF_SIZES only read */
        snprintf(who->detail, sizeof who->detail, "operation %d", (int)arguments[0]);
        return arguments[0] < 2;
    case 'i':
        return note_ioctl(who, arguments);
    case 'p':
        return note_prctl(who, arguments);
    case 'k':
        return note_keyctl(who, arguments);
    case 'l':
        snprintf(who->detail, sizeof who->detail, "limit %d of process %d", (int)arguments[1], (int)arguments[0]);
        return arguments[2] != 0;
    case 'q':
        snprintf(who->detail, sizeof who->detail, "%#llx", (unsigned long long)arguments[0]);
        return (uint32_t)arguments[0] != 0xffffffff;
    default: /* 'a', madvise */
        snprintf(who->detail, sizeof who->detail, "advice %d", (int)arguments[2]);
        return arguments[2] == MADV_MERGEABLE;
    }
}

/* Reports a message to an address. Connected sockets were reported at connect(2). */
static bool note_message(struct tracee *who, uint64_t address) {
    struct msghdr header;
    if (peek(who->pid, address, &header, sizeof header) != sizeof header || header.msg_name == NULL)
        return false;
    socket_address(who->pid, (uint64_t)(uintptr_t)header.msg_name, header.msg_namelen, who->detail, sizeof who->detail);
    return who->detail[0] != '\0';
}

static bool note_arguments(struct tracee *who, const char *how, const uint64_t *arguments) {
    const uint64_t *first = arguments + (how[1] - '0');
    switch (how[0]) {
    case 'P':
        full_path(who->pid, AT_FDCWD, first[0], who->detail, sizeof who->detail);
        return true;
    case 'D':
        full_path(who->pid, (int)first[0], first[1], who->detail, sizeof who->detail);
        return true;
    case 'F':
        link_of(who->pid, (int)first[0], who->detail, sizeof who->detail);
        return true;
    case 'Z':
        peek_text(who->pid, first[0], who->detail, 256);
        return true;
    case 'S':
        socket_address(who->pid, first[0], first[1], who->detail, sizeof who->detail);
        return who->detail[0] != '\0';
    case 'M':
        return note_message(who, first[0]);
    case 'K':
        snprintf(who->detail, sizeof who->detail, "signal %d to %d", (int)first[1], (int)first[0]);
        return first[1] != 0; /* signal 0 only checks that the process exists */
    case 'N':
        snprintf(who->detail, sizeof who->detail, "%#llx, %#llx", (unsigned long long)arguments[0],
                 (unsigned long long)arguments[1]);
        return true;
    default:
        return note_by_arguments(who, how[0], arguments);
    }
}

void note(struct tracee *who, const struct __ptrace_syscall_info *info) {
    uint64_t arguments[6];
    memcpy(arguments, info->seccomp.args, sizeof arguments);
    who->detail[0] = '\0';
    who->call = NULL;
    for (size_t i = 0; i < call_count && info->arch == ARCHITECTURE; i++) {
        if (calls[i].number != (long)info->seccomp.nr)
            continue;
        if (calls[i].class == 'C' && note_arguments(who, calls[i].how, arguments))
            who->call = calls[i].name;
        clean(who->detail);
        return;
    }
    snprintf(who->detail, sizeof who->detail, "number %llu%s", (unsigned long long)info->seccomp.nr,
             info->arch == ARCHITECTURE ? "" : " of another architecture");
    who->call = "unknown";
}
