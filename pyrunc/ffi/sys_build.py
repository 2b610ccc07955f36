"""System calls that Python has not: bpf(2) for device rules on cgroup v2. cffi in API mode."""

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef(
    """
    int pyrunc_load_device_program(const char *code, int instructions);
    int pyrunc_attach_device_program(int cgroup, int program);
    """
)
ffibuilder.set_source(
    "pyrunc.ffi._sys",
    """
    #include <errno.h>
    #include <linux/bpf.h>
    #include <stdint.h>
    #include <string.h>
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
    """,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
