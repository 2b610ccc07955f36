"""System calls that Python does not provide: bpf(2) for device rules on cgroup v2, openat2(2), mounts for CRIU and the
shim, posix_spawn(3) in a directory, and the settings of a resident process in the kernel and the C library.

cffi in API mode. Every function returns -errno if the kernel refuses."""

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef(
    """
    int pyrunc_load_device_program(const char *code, int instructions);
    int pyrunc_attach_device_program(int cgroup, int program);
    int pyrunc_device_programs(int cgroup, uint32_t *programs, int most);
    int pyrunc_cgroup_programs(int cgroup, int type, uint32_t *programs, int most);
    int pyrunc_detach_cgroup_program(int cgroup, int type, uint32_t program);
    int pyrunc_open_in_root(int root, const char *path);
    int pyrunc_bind(const char *source, const char *target);
    int pyrunc_detach(const char *target);
    int pyrunc_spawn(const char *path, char *const *args, char *const *env, const char *directory,
                     int in, int out, int error);
    int pyrunc_fsopen(const char *type);
    int pyrunc_fsconfig(int filesystem, unsigned command, const char *key, const char *value);
    int pyrunc_fsmount(int filesystem, unsigned attributes);
    int pyrunc_open_tree(const char *path, int recursive);
    int pyrunc_mount_setattr(int tree, int recursive, uint64_t set, uint64_t clear, uint64_t propagation);
    int pyrunc_move_mount(int tree, const char *target);
    int pyrunc_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
    int pyrunc_become_resident(void);
    int pyrunc_schedule_core(void);
    void pyrunc_trim(void);
    """
)
ffibuilder.set_source(
    "pyrunc.ffi._sys",
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/bpf.h>
    #include <linux/openat2.h>
    #include <malloc.h>
    #include <signal.h>
    #include <spawn.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mount.h>
    #include <sys/prctl.h>
    #include <sys/signalfd.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static long call(int command, union bpf_attr *attributes) {
        long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
        return result < 0 ? -errno : result;
    }

    #define PROGRAM_NAME "pyrunc_devices"

    static int pyrunc_load_device_program(const char *code, int instructions) {
        union bpf_attr attributes;
        memset(&attributes, 0, sizeof attributes);
        attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
        attributes.insns = (uint64_t)(uintptr_t)code;
        attributes.insn_cnt = instructions;
        attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
        memcpy(attributes.prog_name, PROGRAM_NAME, sizeof PROGRAM_NAME);
        return call(BPF_PROG_LOAD, &attributes);
    }

    static int is_ours(int program) {
        union bpf_attr attributes;
        struct bpf_prog_info info;
        memset(&attributes, 0, sizeof attributes);
        memset(&info, 0, sizeof info);
        attributes.info.bpf_fd = program;
        attributes.info.info_len = sizeof info;
        attributes.info.info = (uint64_t)(uintptr_t)&info;
        return call(BPF_OBJ_GET_INFO_BY_FD, &attributes) >= 0 && strcmp(info.name, PROGRAM_NAME) == 0;
    }

    /* Returns how many programs of a type are attached to the cgroup itself, and their ids. */
    static int pyrunc_cgroup_programs(int cgroup, int type, uint32_t *programs, int most) {
        union bpf_attr attributes;
        memset(&attributes, 0, sizeof attributes);
        attributes.query.target_fd = cgroup;
        attributes.query.attach_type = type;
        attributes.query.prog_ids = (uint64_t)(uintptr_t)programs;
        attributes.query.prog_cnt = most;
        long queried = call(BPF_PROG_QUERY, &attributes);
        return queried < 0 ? queried : (int)attributes.query.prog_cnt;
    }

    static int pyrunc_device_programs(int cgroup, uint32_t *programs, int most) {
        return pyrunc_cgroup_programs(cgroup, BPF_CGROUP_DEVICE, programs, most);
    }

    static int pyrunc_detach_cgroup_program(int cgroup, int type, uint32_t program) {
        union bpf_attr attributes;
        memset(&attributes, 0, sizeof attributes);
        attributes.prog_id = program;
        int held = call(BPF_PROG_GET_FD_BY_ID, &attributes);
        if (held < 0)
            return held;
        memset(&attributes, 0, sizeof attributes);
        attributes.target_fd = cgroup;
        attributes.attach_bpf_fd = held;
        attributes.attach_type = type;
        long result = call(BPF_PROG_DETACH, &attributes);
        close(held);
        return result < 0 ? result : 0;
    }

    /* Attaches the program in addition to those of others, such as systemd's (BPF_F_ALLOW_MULTI: all must allow an
     * access), and replaces the runtime's earlier program. */
    static int pyrunc_attach_device_program(int cgroup, int program) {
        union bpf_attr attributes;
        uint32_t programs[64];
        memset(&attributes, 0, sizeof attributes);
        attributes.query.target_fd = cgroup;
        attributes.query.attach_type = BPF_CGROUP_DEVICE;
        attributes.query.prog_ids = (uint64_t)(uintptr_t)programs;
        attributes.query.prog_cnt = 64;
        long queried = call(BPF_PROG_QUERY, &attributes);
        uint32_t count = queried < 0 ? 0 : attributes.query.prog_cnt;
        memset(&attributes, 0, sizeof attributes);
        attributes.target_fd = cgroup;
        attributes.attach_bpf_fd = program;
        attributes.attach_type = BPF_CGROUP_DEVICE;
        attributes.attach_flags = BPF_F_ALLOW_MULTI;
        long result = call(BPF_PROG_ATTACH, &attributes);
        for (uint32_t i = 0; result >= 0 && i < count; i++) {
            memset(&attributes, 0, sizeof attributes);
            attributes.prog_id = programs[i];
            long old = call(BPF_PROG_GET_FD_BY_ID, &attributes);
            if (old < 0)
                continue;
            memset(&attributes, 0, sizeof attributes);
            attributes.target_fd = cgroup;
            attributes.attach_bpf_fd = old;
            attributes.attach_type = BPF_CGROUP_DEVICE;
            if (is_ours(old))
                call(BPF_PROG_DETACH, &attributes);
            close(old);
        }
        return result;
    }

    /* Opens with O_PATH. The kernel keeps every link and `..` below `root`. */
    static int pyrunc_open_in_root(int root, const char *path) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
        long result = syscall(SYS_openat2, root, path, &how, sizeof how);
        return result < 0 ? -errno : (int)result;
    }

    static int pyrunc_bind(const char *source, const char *target) {
        return mount(source, target, NULL, MS_BIND | MS_REC, NULL) == 0 ? 0 : -errno;
    }

    static int pyrunc_detach(const char *target) {
        return umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ? 0 : -errno;
    }

    /* Starts a program in its own process group, with no signal blocked or ignored, and three descriptors. Returns the
     * pid. */
    static int pyrunc_spawn(const char *path, char *const *args, char *const *env, const char *directory,
                            int in, int out, int error) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        pid_t pid = 0;
        sigemptyset(&none);
        sigfillset(&all);
        int result = posix_spawn_file_actions_init(&actions);
        if (result != 0)
            return -result;
        if ((result = posix_spawnattr_init(&attributes)) == 0) {
            posix_spawnattr_setflags(&attributes,
                                     POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
            posix_spawnattr_setsigmask(&attributes, &none);
            posix_spawnattr_setsigdefault(&attributes, &all);
            if ((result = posix_spawn_file_actions_adddup2(&actions, in, 0)) == 0 &&
                (result = posix_spawn_file_actions_adddup2(&actions, out, 1)) == 0 &&
                (result = posix_spawn_file_actions_adddup2(&actions, error, 2)) == 0 &&
                (result = posix_spawn_file_actions_addclosefrom_np(&actions, 3)) == 0 &&
                (result = posix_spawn_file_actions_addchdir_np(&actions, directory)) == 0)
                result = posix_spawn(&pid, path, &actions, &attributes, args, env);
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&actions);
        return result != 0 ? -result : pid;
    }

    /* The mount API is called by number, because glibc has wrappers for these calls only since 2.36. */
    static int answer(long result) {
        return result < 0 ? -errno : (int)result;
    }

    static int pyrunc_fsopen(const char *type) {
        return answer(syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */));
    }

    static int pyrunc_fsconfig(int filesystem, unsigned command, const char *key, const char *value) {
        return answer(syscall(SYS_fsconfig, filesystem, command, key, value, 0));
    }

    static int pyrunc_fsmount(int filesystem, unsigned attributes) {
        return answer(syscall(SYS_fsmount, filesystem, 1 /* FSMOUNT_CLOEXEC */, attributes));
    }

    static int pyrunc_open_tree(const char *path, int recursive) {
        unsigned flags = 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | (recursive ? 0x8000 /* AT_RECURSIVE */ : 0);
        return answer(syscall(SYS_open_tree, AT_FDCWD, path, flags));
    }

    static int pyrunc_mount_setattr(int tree, int recursive, uint64_t set, uint64_t clear, uint64_t propagation) {
        struct { uint64_t set, clear, propagation, userns; } attributes = {set, clear, propagation, 0};
        unsigned flags = AT_EMPTY_PATH | (recursive ? 0x8000 : 0);
        const long mount_setattr = 442; /* everywhere */
        return answer(syscall(mount_setattr, tree, "", flags, &attributes, sizeof attributes));
    }

    /* Mounts onto the target itself: a symbolic link as its last component is not followed. */
    static int pyrunc_move_mount(int tree, const char *target) {
        return answer(syscall(SYS_move_mount, tree, "", AT_FDCWD, target, 4 /* MOVE_MOUNT_F_EMPTY_PATH */));
    }

    static int pyrunc_mount(const char *source, const char *target, const char *type, unsigned long flags,
                            const char *data) {
        return answer(mount(source, target, type, flags, data));
    }

    /* Makes orphans of containers without a pid namespace children of this process (PR_SET_CHILD_SUBREAPER). Returns a
     * descriptor for SIGCHLD. Blocks every other signal that could end the process, because containerd ends it by
     * Shutdown. Limits malloc to one arena, because otherwise each thread has its own of 64 KiB and more. */
    static int pyrunc_become_resident(void) {
        sigset_t signals;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
            return -errno;
        mallopt(M_ARENA_MAX, 1);
        sigemptyset(&signals);
        sigaddset(&signals, SIGCHLD);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGHUP);
        sigaddset(&signals, SIGQUIT);
        sigaddset(&signals, SIGUSR1);
        sigaddset(&signals, SIGUSR2);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
            return -errno;
        sigemptyset(&signals);
        sigaddset(&signals, SIGCHLD);
        return answer(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    }

    /* Creates a core-scheduling group for the process group (PR_SCHED_CORE, Linux 5.14). Forks inherit it. */
    static int pyrunc_schedule_core(void) {
        return answer(prctl(62 /* PR_SCHED_CORE */, 1 /* CREATE */, 0, 2 /* of the process group */, 0));
    }

    static void pyrunc_trim(void) {
        malloc_trim(0);
    }
    """,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
