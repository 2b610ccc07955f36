"""Classifies every system call of x86_64 and aarch64 by what it changes, for the reports of ``audit-lib``.

``nsenter/generate.py`` writes the probe's table (``calls.h``) from it. A call that is in no list is reported as
unknown, so that calls of later kernels are not missed. Complete for Linux 6.18 (arch/x86/entry/syscalls/syscall_64.tbl,
scripts/syscall.tbl). Imports nothing.
"""

HARMLESS = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close close_range
poll ppoll select pselect6
mmap mprotect munmap brk mremap msync mincore remap_file_pages pkey_mprotect pkey_alloc pkey_free map_shadow_stack mseal
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pipe pipe2 dup dup2
dup3 sched_yield pause nanosleep clock_nanosleep exit exit_group wait4 waitid sendfile
splice tee vmsplice copy_file_range
socketpair accept accept4 recvfrom recvmsg recvmmsg shutdown getsockname getpeername setsockopt getsockopt
fsync fdatasync sync syncfs sync_file_range readahead fadvise64 restart_syscall futex futex_waitv futex_wake futex_wait
futex_requeue set_thread_area get_thread_area set_tid_address set_robust_list get_robust_list rseq membarrier arch_prctl
epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 epoll_ctl_old epoll_wait_old eventfd eventfd2
signalfd signalfd4 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch memfd_create memfd_secret pidfd_open
io_setup io_destroy io_getevents io_pgetevents io_cancel getrandom cachestat landlock_create_ruleset landlock_add_rule
fork vfork uretprobe uprobe
"""
"""Calls that affect only the process's own memory, descriptors and time; and new processes, which have reports of their
own."""

READS = """
stat fstat lstat newfstatat statx access faccessat faccessat2 getdents getdents64 readlink readlinkat getcwd
statfs fstatfs ustat getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat
getpid gettid getppid getuid
geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid getpriority getrlimit getrusage sysinfo
uname
times time gettimeofday clock_gettime clock_getres getitimer timer_gettime timer_getoverrun timerfd_gettime capget
sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_getaffinity
sched_getattr get_mempolicy ioprio_get getcpu name_to_handle_at lookup_dcookie kcmp process_vm_readv
sysfs get_kernel_syms query_module statmount listmount lsm_get_self_attr lsm_list_modules file_getattr listns
"""
"""Calls that read something and change nothing."""

CHANGES = {
    # Files by path (P: argument; D: directory descriptor and path; O: the flags decide; H: the flags of openat2
    # decide).
    **dict.fromkeys(("open",), "o0"),
    **dict.fromkeys(("openat",), "O0"),
    **dict.fromkeys(("openat2",), "H0"),
    **dict.fromkeys(("creat", "mkdir", "rmdir", "unlink", "truncate", "mknod", "chmod", "chown", "lchown"), "P0"),
    **dict.fromkeys(("utime", "utimes", "setxattr", "lsetxattr", "removexattr", "lremovexattr"), "P0"),
    **dict.fromkeys(("rename", "symlink", "link"), "P1"),
    **dict.fromkeys(("mkdirat", "mknodat", "unlinkat", "fchmodat", "fchmodat2", "fchownat", "futimesat"), "D0"),
    **dict.fromkeys(("setxattrat", "removexattrat", "file_setattr"), "D0"),
    "utimensat": "D0",
    "symlinkat": "D1",
    **dict.fromkeys(("renameat", "renameat2", "linkat"), "D2"),
    # By descriptor.
    **dict.fromkeys(("fchmod", "fchown", "ftruncate", "fallocate", "fsetxattr", "fremovexattr", "flock"), "F0"),
    "fcntl": "f0",
    "lseek": "s0",
    "ioctl": "i0",
    # Only some kinds of these processes and sockets are reported.
    "clone": "c0",
    "clone3": "C0",
    "socket": "n0",
    "syslog": "y0",
    # Sockets (S: address; M: the address of a message).
    **dict.fromkeys(("connect", "bind"), "S1"),
    "sendto": "S4",
    "sendmsg": "M1",
    "sendmmsg": "M1",
    "listen": "N0",
    # Processes and programs (K: pid and signal; T: thread group, thread and signal).
    "execve": "P0",
    "execveat": "D0",
    **dict.fromkeys(("kill", "tkill", "rt_sigqueueinfo"), "K0"),
    **dict.fromkeys(("tgkill", "rt_tgsigqueueinfo"), "K1"),
    "pidfd_send_signal": "K0",
    **dict.fromkeys(("setpgid", "setpriority", "sched_setparam", "sched_setscheduler"), "N0"),
    **dict.fromkeys(("sched_setaffinity", "sched_setattr", "ioprio_set", "process_vm_writev", "migrate_pages"), "N0"),
    **dict.fromkeys(("move_pages", "process_madvise", "process_mrelease", "pidfd_getfd", "ptrace", "setsid"), "N0"),
    "prlimit64": "l0",
    # Attributes of the process itself.
    **dict.fromkeys(("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid"), "N0"),
    **dict.fromkeys(("setfsgid", "setgroups", "capset", "unshare", "setns", "umask", "setrlimit"), "N0"),
    **dict.fromkeys(("alarm", "setitimer", "timer_create", "timer_settime", "timer_delete"), "N0"),
    **dict.fromkeys(("timerfd_create", "timerfd_settime", "mlock", "mlock2", "mlockall", "munlock"), "N0"),
    "munlockall": "N0",
    **dict.fromkeys(("mbind", "set_mempolicy", "set_mempolicy_home_node", "modify_ldt", "iopl", "ioperm"), "N0"),
    **dict.fromkeys(("landlock_restrict_self", "lsm_set_self_attr", "userfaultfd", "perf_event_open"), "N0"),
    **dict.fromkeys(("io_uring_setup", "io_uring_enter", "io_uring_register", "io_submit", "fchdir"), "N0"),
    "prctl": "p0",
    "personality": "q0",
    "seccomp": "e0",
    "madvise": "a2",
    "chdir": "P0",
    # Inter-process communication and keys (Z: a string that is not a path).
    **dict.fromkeys(("shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl"), "N0"),
    **dict.fromkeys(("msgget", "msgsnd", "msgrcv", "msgctl", "mq_timedsend", "mq_notify", "mq_getsetattr"), "N0"),
    "mq_timedreceive": "N0",
    **dict.fromkeys(("mq_open", "mq_unlink"), "Z0"),
    **dict.fromkeys(("add_key", "request_key"), "Z1"),
    "keyctl": "k0",
    # The whole system.
    "mount": "P1",
    **dict.fromkeys(("umount2", "pivot_root", "chroot", "swapon", "swapoff", "acct", "uselib"), "P0"),
    "move_mount": "D2",
    **dict.fromkeys(("mount_setattr", "open_tree", "open_tree_attr", "fspick"), "D0"),
    **dict.fromkeys(("fsopen", "sethostname", "setdomainname"), "Z0"),
    **dict.fromkeys(("fsconfig", "fsmount", "quotactl", "quotactl_fd", "fanotify_init", "fanotify_mark"), "N0"),
    **dict.fromkeys(("open_by_handle_at", "vhangup", "reboot", "settimeofday", "clock_settime", "adjtimex"), "N0"),
    **dict.fromkeys(("clock_adjtime", "init_module", "finit_module", "delete_module", "create_module"), "N0"),
    **dict.fromkeys(("kexec_load", "kexec_file_load", "bpf", "nfsservctl", "_sysctl", "afs_syscall"), "N0"),
    **dict.fromkeys(("getpmsg", "putpmsg", "tuxcall", "security", "vserver"), "N0"),
}
"""{call: the format of its arguments}: a letter (nsenter/probe/describe.c) and the index of the first argument to show.
With a lower-case letter the arguments decide whether the call changes anything."""

NEWER = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
    "listns": 470,
}
"""Numbers that Debian 12's headers do not have. They are the same on both architectures."""

OTHER_NAMES = {"uretprobe": 335, "uprobe": 336}
"""Calls of x86_64 only, which no header has."""


def table() -> "list[tuple[str, str, str]]":
    """Returns (call, ``H`` harmless, ``R`` reads or ``C`` changes, format) for each call."""
    rows = [(name, "H", "-0") for name in HARMLESS.split()] + [(name, "R", "-0") for name in READS.split()]
    return rows + [(name, "C", how) for name, how in CHANGES.items()]
