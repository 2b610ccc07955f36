/* Looks like the static helper without executing it (PR_SET_MM_MAP), says that it is, and takes what the runtime gives. */
#include "library.h"
#include <sys/socket.h>

enum { CHANNEL = 3, RESUMED = 'R', DESCRIPTORS = 'D' };

static long field(int number) {
    char text[2048] = {0}, *at;
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    (void)!read(file, text, sizeof text - 1);
    close(file);
    at = strrchr(text, ')') + 1;
    for (int i = 3; i < number; i++)
        at = strchr(at + 1, ' ');
    return strtol(at, NULL, 10);
}

/* The mappings of the program that runs: its file may be exchanged when there are none. */
static void unmap_program(void) {
    char line[512], names[64][512];
    struct stat program, mapped;
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (count < 64 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "pyrunc-helper") != NULL || strstr(line, "pyrunc-probe") != NULL)
            memcpy(names[count++], line, sizeof line);
    fclose(maps);
    stat("/proc/self/exe", &program);
    for (int i = 0; i < count; i++) {
        char path[128];
        unsigned long from, to;
        sscanf(names[i], "%lx-%lx", &from, &to);
        snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", from, to);
        if (stat(path, &mapped) == 0 && mapped.st_ino == program.st_ino)
            munmap((void *)from, to - from);
    }
}

static int static_helper(void) {
    struct stat program, found;
    char path[64], name[64];
    stat("/proc/self/exe", &program);
    for (int i = 4; i < 64; i++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", i);
        ssize_t length = readlink(path, name, sizeof name - 1);
        name[length > 0 ? length : 0] = '\0';
        if (strstr(name, "memfd:pyrunc-helper") != NULL && fstat(i, &found) == 0 && found.st_ino != program.st_ino)
            return i;
    }
    return -1;
}

/* One message; standard output comes with it, and is ours from then on. False after the last. */
static bool take(void) {
    static char message[65536], control[CMSG_SPACE(253 * sizeof(int))];
    struct iovec vector = {message, sizeof message};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(CHANNEL, &header, 0) <= 0 || message[0] != DESCRIPTORS)
        return false;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    for (size_t i = 0; rights != NULL && i < (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
        int number, descriptor;
        memcpy(&number, message + 1 + i * sizeof number, sizeof number);
        memcpy(&descriptor, CMSG_DATA(rights) + i * sizeof descriptor, sizeof descriptor);
        if (number == 1)
            dup2(descriptor, 1);
    }
    return true;
}

ON_LOAD {
    static const char words[] = "pyrunc-init\0resume\0000";
    int program = static_helper();
    char *arguments = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(arguments, words, sizeof words);
    struct prctl_mm_map map = {
        .start_code = (uint64_t)field(26), .end_code = (uint64_t)field(27), .start_data = (uint64_t)field(45),
        .end_data = (uint64_t)field(46), .start_brk = (uint64_t)field(47), .brk = (uint64_t)(uintptr_t)sbrk(0),
        .start_stack = (uint64_t)field(28), .arg_start = (uint64_t)(uintptr_t)arguments,
        .arg_end = (uint64_t)(uintptr_t)arguments + sizeof words, .exe_fd = (uint32_t)program};
    map.env_start = map.env_end = map.arg_end;
    unmap_program();
    long result = prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
    if (program < 0 || result != 0)
        _exit(7);
    char ready = RESUMED;
    send(CHANNEL, &ready, 1, MSG_NOSIGNAL);
    while (take())
        ;
    execl("/bin/echo", "echo", "forged", NULL);
    _exit(8);
}
