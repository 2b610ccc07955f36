"""BPF programs and extended attributes of a v2 cgroup. Programs affect the container's processes, and attributes tell
daemons how to treat them, but no file of the cgroup shows either (bpf(2), BPF_PROG_QUERY; systemd-oomd.service(8))."""

import posix

from pyrunc.ffi._sys import ffi, lib

TYPES = (
    *(0, 1, 2, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 29, 30, 31, 32, 34),
    *(49, 50, 51, 52, 53),  # BPF_CGROUP_UNIX_*, Linux 6.7
)
"""BPF_CGROUP_* of enum bpf_attach_type (linux/bpf.h), except LSM_CGROUP, which cannot be queried for a cgroup alone."""
DEVICE = 6
MOST = 64


def programs(directory: str) -> "set[tuple[int, int]]":
    """Returns (type, id) of each program attached to ``directory`` itself; none if the kernel does not report them."""
    descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    found = ffi.new(f"uint32_t[{MOST}]")
    try:
        return {
            (kind, found[number])
            for kind in TYPES
            for number in range(min(MOST, max(0, lib.pyrunc_cgroup_programs(descriptor, kind, found, MOST))))
        }
    finally:
        posix.close(descriptor)


def detach(directory: str, wanted: "set[tuple[int, int]]") -> None:
    """Detaches programs as far as the kernel allows it. The caller checks the result."""
    descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        for kind, number in wanted:
            lib.pyrunc_detach_cgroup_program(descriptor, kind, number)
    finally:
        posix.close(descriptor)
