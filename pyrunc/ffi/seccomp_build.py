"""Bindings to the parts of libseccomp that pyrunc uses (seccomp_init(3) and related functions). cffi in API mode."""

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef(
    """
    typedef void *scmp_filter_ctx;
    struct scmp_version { unsigned int major, minor, micro; };
    struct scmp_arg_cmp { unsigned int arg; int op; uint64_t datum_a; uint64_t datum_b; };
    #define SCMP_ACT_KILL_PROCESS ...
    #define SCMP_ACT_KILL_THREAD ...
    #define SCMP_ACT_TRAP ...
    #define SCMP_ACT_LOG ...
    #define SCMP_ACT_ALLOW ...
    #define SCMP_ACT_NOTIFY ...
    #define SCMP_FLTATR_ACT_BADARCH ...
    #define SCMP_FLTATR_CTL_OPTIMIZE ...
    #define SECCOMP_FILTER_FLAG_TSYNC ...
    #define SECCOMP_FILTER_FLAG_LOG ...
    #define SECCOMP_FILTER_FLAG_SPEC_ALLOW ...
    #define SECCOMP_FILTER_FLAG_NEW_LISTENER ...
    #define __NR_SCMP_ERROR ...
    #define SCMP_CMP_NE ...
    #define SCMP_CMP_LT ...
    #define SCMP_CMP_LE ...
    #define SCMP_CMP_EQ ...
    #define SCMP_CMP_GE ...
    #define SCMP_CMP_GT ...
    #define SCMP_CMP_MASKED_EQ ...
    int pyrunc_knows_flag(unsigned int flags);
    uint32_t pyrunc_errno(uint16_t number);
    uint32_t pyrunc_trace(uint16_t number);
    const struct scmp_version *seccomp_version(void);
    scmp_filter_ctx seccomp_init(uint32_t action);
    void seccomp_release(scmp_filter_ctx context);
    int seccomp_attr_set(scmp_filter_ctx context, int attribute, uint32_t value);
    uint32_t seccomp_arch_resolve_name(const char *name);
    uint32_t seccomp_arch_native(void);
    int seccomp_arch_add(scmp_filter_ctx context, uint32_t token);
    int seccomp_syscall_resolve_name(const char *name);
    int seccomp_syscall_resolve_name_arch(uint32_t token, const char *name);
    int seccomp_rule_add_array(scmp_filter_ctx context, uint32_t action, int syscall, unsigned int count,
                               const struct scmp_arg_cmp *arguments);
    int seccomp_export_bpf(scmp_filter_ctx context, int descriptor);
    """
)
ffibuilder.set_source(
    "pyrunc.ffi._seccomp",
    """
    #include <errno.h>
    #include <linux/seccomp.h>
    #include <seccomp.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    /* The kernel checks the flags first (EINVAL), then the filter (EFAULT): seccomp(2). */
    static int pyrunc_knows_flag(unsigned int flags) {
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (void *)0) < 0 && errno == EFAULT;
    }
    static uint32_t pyrunc_errno(uint16_t number) { return SCMP_ACT_ERRNO(number); }
    static uint32_t pyrunc_trace(uint16_t number) { return SCMP_ACT_TRACE(number); }
    """,
    libraries=["seccomp"],
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
