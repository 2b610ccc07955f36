/* A stand-in for cgmanager 0.42: moves each process that connects to the top cgroup of every v1 hierarchy.
 *
 * cgmanager SOCKET TOP [HIERARCHY...]: TOP is the cgroup to move to ("/" as the real one did). As measured: the daemon
 * knows the pid from the socket's credentials; it writes into `tasks`, not cgroup.procs, so that only the loading
 * thread moves; the hierarchies come one after another, alphabetically, name=systemd last, 0.15 ms each; cgroup2 is
 * never moved. A first byte 'p' asks, as liblxc 2.x does, for a probe cgroup below the caller's current ones: made and
 * removed again, its parent `lxc` not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void pause_us(long microseconds) {
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

static int write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    ssize_t written = write(file, text, strlen(text));
    close(file);
    return written < 0 ? -1 : 0;
}

static void move(pid_t pid, const char *top, char **hierarchies) {
    char path[4096], number[16];
    snprintf(number, sizeof number, "%d", (int)pid);
    for (; *hierarchies != NULL; hierarchies++) {
        snprintf(path, sizeof path, "%s%s/tasks", *hierarchies, strcmp(top, "/") == 0 ? "" : top);
        write_text(path, number);
        pause_us(150);
    }
}

/* The path of `pid` in the hierarchy mounted at `mount`: by the mount's last name, as it is in /proc/PID/cgroup. */
static int current(pid_t pid, const char *mount, char *path, size_t size) {
    char file[64], line[4096];
    const char *name = strrchr(mount, '/') + 1;
    snprintf(file, sizeof file, "/proc/%d/cgroup", (int)pid);
    FILE *lines = fopen(file, "re");
    int found = -1;
    while (lines != NULL && found != 0 && fgets(line, sizeof line, lines) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *own = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (own == NULL)
            continue;
        *own++ = '\0';
        if (strcmp(controllers + 1, name) == 0 || (strncmp(controllers + 1, "name=", 5) == 0 && strcmp(controllers + 6, name) == 0)) {
            snprintf(path, size, "%s%s", mount, strcmp(own, "/") == 0 ? "" : own);
            found = 0;
        }
    }
    if (lines != NULL)
        fclose(lines);
    return found;
}

/* As the real one, which answers such a caller that it "requires a proxy": its pids are not the daemon's. */
static int is_in_our_pid_namespace(pid_t pid) {
    char file[64], ours[64], theirs[64];
    snprintf(file, sizeof file, "/proc/%d/ns/pid", (int)pid);
    ssize_t own = readlink("/proc/self/ns/pid", ours, sizeof ours), other = readlink(file, theirs, sizeof theirs);
    return own > 0 && own == other && memcmp(ours, theirs, (size_t)own) == 0;
}

static void probe(pid_t pid, char **hierarchies) {
    char own[4000], path[8300];
    for (; *hierarchies != NULL; hierarchies++) {
        if (current(pid, *hierarchies, own, sizeof own) != 0)
            continue;
        snprintf(path, sizeof path, "%s/lxc", own);
        mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/lxc/lxcprobe-%d", own, (int)pid);
        mkdir(path, 0755);
        pause_us(150);
        rmdir(path);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc < 4) {
        fprintf(stderr, "usage: cgmanager SOCKET TOP HIERARCHY...\n");
        return 2;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    unlink(argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) {
        perror(argv[1]);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int caller = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct ucred who;
        socklen_t size = sizeof who;
        char wish = 0;
        if (caller < 0)
            continue;
        /* A process that is not in our pid namespace has pid 0 here: it cannot be moved. */
        if (getsockopt(caller, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid > 0 &&
            is_in_our_pid_namespace(who.pid) && recv(caller, &wish, 1, 0) == 1) {
            if (wish == 'p')
                probe(who.pid, argv + 3);
            move(who.pid, argv[2], argv + 3);
            send(caller, "d", 1, MSG_NOSIGNAL); /* it may have been killed meanwhile */
        }
        close(caller);
    }
}
