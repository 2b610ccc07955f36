"""BPF programs attached to a cgroup of v2, and extended attributes: both hold for the container's processes, or
instruct daemons how to treat them, and no file of the cgroup shows them (bpf(2), BPF_PROG_QUERY;
systemd-oomd.service(8))."""

import posix

from pyrunc.ffi._sys import ffi, lib

TYPES = (
    *(0, 1, 2, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 29, 30, 31, 32, 34),
    *(49, 50, 51, 52, 53),  # BPF_CGROUP_UNIX_*, Linux 6.7
)
"""BPF_CGROUP_* of enum bpf_attach_type (linux/bpf.h) but LSM_CGROUP's, which has no list for a cgroup alone."""
DEVICE = 6
MOST = 64


def programs(directory: str) -> "set[tuple[int, int]]":
    """(type, id) of each program on ``directory`` itself; none where the kernel does not report them."""
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
    """Detaches programs, as far as the kernel lets us; the caller looks."""
    descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        for kind, number in wanted:
            lib.pyrunc_detach_cgroup_program(descriptor, kind, number)
    finally:
        posix.close(descriptor)
