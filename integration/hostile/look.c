/* Prints all that a program can see of how it was started: static, for the container has no libraries. What differs between
 * two starts with one config.json is left out; so what is printed with a library in the init path must be what is printed
 * without one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

static void say(const char *name, long value) { printf("%s %ld\n", name, value); }

/* A file's lines; those that `skip` begins, with a space after each word, are left out. */
static void show(const char *path, const char *skip) {
    char line[4096], word[64];
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        snprintf(word, sizeof word, "%.*s ", (int)strcspn(line, ": \t\n"), line);
        if (skip == NULL || strstr(skip, word) == NULL)
            printf("%s: %s", path, line);
    }
    if (file != NULL)
        fclose(file);
}

static void show_mounts(void) {
    char line[4096];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char root[1024], point[1024], options[1024], *rest = strstr(line, " - ");
        if (rest != NULL && sscanf(line, "%*d %*d %*s %1023s %1023s %1023s", root, point, options) == 3)
            printf("mount %s %s %s%s", root, point, options, rest);
    }
}

static void show_prctl(void) {
    static const struct {
        const char *name;
        int option, second;
    } plain[] = {
        {"dumpable", PR_GET_DUMPABLE, 0},       {"keepcaps", PR_GET_KEEPCAPS, 0},     {"securebits", PR_GET_SECUREBITS, 0},
        {"timerslack", PR_GET_TIMERSLACK, 0},   {"thp", PR_GET_THP_DISABLE, 0},       {"mce", PR_MCE_KILL_GET, 0},
        {"mdwe", 66, 0},                        {"ksm", 68, 0},                       {"io_flusher", PR_GET_IO_FLUSHER, 0},
        {"ssb", PR_GET_SPECULATION_CTRL, 0},    {"ib", PR_GET_SPECULATION_CTRL, 1},   {"l1d", PR_GET_SPECULATION_CTRL, 2},
        {"no_new_privs", PR_GET_NO_NEW_PRIVS, 0}, {"timing", PR_GET_TIMING, 0},
    };
    int value = 0;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        say(plain[i].name, prctl(plain[i].option, plain[i].second, 0, 0, 0));
    say("tsc", prctl(PR_GET_TSC, &value, 0, 0, 0) == 0 ? value : -1);
    say("pdeathsig", prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0) == 0 ? value : -1);
    say("subreaper", prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0) == 0 ? value : -1);
    prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0);
    say("default timerslack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
    say("personality", personality(0xffffffff));
    say("ioprio", syscall(SYS_ioprio_get, 1, 0));
    say("reqkey", syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, -1));
}

static void show_scheduling(void) {
    uint32_t attributes[16] = {0};
    cpu_set_t set;
    int mode = -1;
    unsigned long nodes[16] = {0};
    syscall(SYS_sched_getattr, 0, attributes, sizeof attributes, 0);
    for (int i = 0; i < 14; i++)
        say("sched", attributes[i]);
    sched_getaffinity(0, sizeof set, &set);
    say("cpus", CPU_COUNT(&set));
    syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, NULL, 0);
    say("mempolicy", mode);
}

static void show_signals(void) {
    struct itimerval timer;
    sigset_t set;
    sigpending(&set);
    for (int number = 1; number < 65; number++) {
        if (sigismember(&set, number) == 1)
            say("pending", number);
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            say("ignored", number);
    }
    for (int which = 0; which < 3; which++) {
        getitimer(which, &timer);
        say("timer", timer.it_value.tv_sec);
    }
}

static void show_streams(void) {
    for (int number = 0; number < 64; number++) {
        struct stat status;
        struct winsize size = {0};
        struct termios settings;
        if (fstat(number, &status) != 0)
            continue;
        printf("fd %d type %o flags %o sig %d pipe %d\n", number, status.st_mode & S_IFMT, fcntl(number, F_GETFL),
               fcntl(number, F_GETSIG), fcntl(number, F_GETPIPE_SZ));
        if (S_ISREG(status.st_mode))
            say("offset", lseek(number, 0, SEEK_CUR));
        if (tcgetattr(number, &settings) == 0 && ioctl(number, TIOCGWINSZ, &size) == 0)
            printf("tty %x %x %x %d %d\n", settings.c_iflag, settings.c_oflag, settings.c_lflag, size.ws_row, size.ws_col);
    }
    say("terminal", open("/dev/tty", O_RDWR | O_NOCTTY));
}

static void show_landlock(void) {
    uint64_t handled = 1;
    pid_t child = fork();
    if (child == 0) {
        int layers = 0, ruleset = (int)syscall(444, &handled, sizeof handled, 0);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        while (layers < 20 && syscall(446, ruleset, 0) == 0)
            layers++;
        _exit(layers);
    }
    int status;
    waitpid(child, &status, 0);
    say("landlock layers left", WEXITSTATUS(status));
}

static void show_cgroups(void) {
    static const char *const files[] = {
        "memory/memory.limit_in_bytes", "memory/memory.swappiness", "memory/memory.oom_control", "pids/pids.max",
        "devices/devices.list", "cpu/cpu.shares", "cpu/cpu.cfs_quota_us", "cpu/notify_on_release", "freezer/freezer.state",
        "cpuset/cpuset.cpus", "blkio/blkio.bfq.weight", "unified/cgroup.max.depth", "unified/cgroup.subtree_control",
        "unified/hugetlb.2MB.max", "unified/hugetlb.1GB.max", "unified/cgroup.type", "unified/cgroup.freeze",
        "memory.max", "pids.max", "cpu.max", "cgroup.freeze", "cgroup.subtree_control",
    };
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s", files[i]);
        show(path, "under_oom oom_kill ");
    }
}

/* What the network lets us do, and who the cgroup's files belong to. */
static void show_surroundings(void) {
    static const char *const files[] = {"pids/pids.max", "memory/memory.limit_in_bytes", "unified", "unified/cgroup.procs",
                                        "cgroup.procs"};
    char path[128], names[256] = "";
    show("/proc/sys/net/ipv4/ip_default_ttl", NULL);
    show("/proc/net/if_inet6", NULL);
    int one = socket(AF_INET, SOCK_STREAM, 0);
    say("socket", one < 0 ? errno : 0);
    close(one);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat status;
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s", files[i]);
        if (stat(path, &status) == 0)
            printf("%s: owner %d mode %o\n", path, (int)status.st_uid, status.st_mode);
        ssize_t size = listxattr(path, names, sizeof names);
        for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
            printf("%s: attribute %s\n", path, names + at);
    }
}

static int byte_order(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void show_directory(const char *path) {
    struct dirent **names;
    int count = scandir(path, &names, NULL, byte_order);
    for (int i = 0; i < count; i++)
        printf("%s/%s\n", path, names[i]->d_name);
}

int main(void) {
    char text[4096];
    struct utsname name;
    struct rlimit limit;
    show("/proc/self/status", "Name Pid Tgid Ngid PPid VmPeak VmSize VmHWM VmRSS RssAnon RssFile VmData VmStk VmExe VmLib VmPTE "
                              "voluntary_ctxt_switches nonvoluntary_ctxt_switches SigQ x86_Thread_features "
                              "x86_Thread_features_locked Cpus_allowed Mems_allowed RssShmem NStgid NSpid NSpgid NSsid ");
    show("/proc/self/coredump_filter", NULL);
    show("/proc/self/oom_score_adj", NULL);
    show("/proc/self/loginuid", NULL);
    show("/proc/self/sessionid", NULL);
    show("/proc/self/cgroup", NULL);
    show("/proc/sysvipc/shm", NULL);
    show("/proc/sysvipc/sem", NULL);
    show("/proc/sysvipc/msg", NULL);
    show_directory("/dev/shm");
    show_directory("/dev/mqueue");
    show_directory("/home");
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        if (getrlimit(resource, &limit) == 0)
            printf("rlimit %d %lld %lld\n", resource, (long long)limit.rlim_cur, (long long)limit.rlim_max);
    uname(&name);
    printf("host %s %s\nsession leader %d\n", name.nodename, name.domainname, getsid(0) == getpid());
    printf("cwd %s\n", getcwd(text, sizeof text));
    for (char **variable = environ; *variable != NULL; variable++)
        printf("env %s\n", *variable);
    printf("umask %o\n", umask(0));
    show_streams();
    show_prctl();
    show_scheduling();
    show_signals();
    show_landlock();
    show_mounts();
    show_cgroups();
    show_surroundings();
    errno = 0;
    printf("mkdir / %d\n", mkdir("/made", 0700) == 0 ? 0 : errno);
    ssize_t got = read(0, text, sizeof text);
    printf("input %.*s\n", (int)(got > 0 ? got : 0), text);
    fflush(stdout);
    return 0;
}
