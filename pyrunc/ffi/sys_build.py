"""System calls that Python has not: bpf(2) for device rules on cgroup v2, openat2(2), and mounts for CRIU's sake.
cffi in API mode. Every function gives -errno when the kernel refuses."""

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef(
    """
    int pyrunc_load_device_program(const char *code, int instructions);
    int pyrunc_attach_device_program(int cgroup, int program);
    int pyrunc_open_in_root(int root, const char *path);
    int pyrunc_bind(const char *source, const char *target);
    int pyrunc_detach(const char *target);
    """
)
ffibuilder.set_source(
    "pyrunc.ffi._sys",
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/bpf.h>
    #include <linux/openat2.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mount.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static long call(int command, union bpf_attr *attributes) {
        long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
        return result < 0 ? -errno : result;
    }

    static int pyrunc_load_device_program(const char *code, int instructions) {
        union bpf_attr attributes;
        memset(&attributes, 0, sizeof attributes);
        attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
        attributes.insns = (uint64_t)(uintptr_t)code;
        attributes.insn_cnt = instructions;
        attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
        return call(BPF_PROG_LOAD, &attributes);
    }

    /* Attached beside those of the engine above (BPF_F_ALLOW_MULTI: all must agree); ours from before is replaced. */
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
            call(BPF_PROG_DETACH, &attributes);
            close(old);
        }
        return result;
    }

    /* O_PATH, with the kernel itself keeping every link and `..` below `root`. */
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
    """,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
