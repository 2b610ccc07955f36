"""The root of a container without its own mount namespace. It is mounted over its own directory in the host's mount
namespace, with all of the container's mounts below it. These mounts stay until they are detached."""

import posix

from pyrunc.errors import PyruncError
from pyrunc.linux.files import read

PLACE, MOUNT_POINT = 0, 4
"""Indexes of fields in a line of mountinfo: the mount id and the mount point (proc_pid_mountinfo(5))."""


def canonical(path: str) -> str:
    """Returns ``path`` without symbolic links, as mountinfo shows it. Raises PyruncError if it cannot be opened."""
    try:
        descriptor = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise PyruncError(f"root.path: {path}: {(error.strerror or '').lower()}") from None
    try:
        return str(posix.readlink(f"/proc/self/fd/{descriptor}"))
    finally:
        posix.close(descriptor)


def top(path: str) -> int:
    """Returns the id of the topmost mount at ``path`` (canonical), 0 if nothing is mounted there."""
    wanted = path.encode("utf-8", "surrogateescape")
    for byte in b"\\ \t\n":  # escaped as the kernel does (mangle() in fs/seq_file.c), the backslash first
        wanted = wanted.replace(bytes((byte,)), b"\\%03o" % byte)
    found = 0
    for line in read("/proc/self/mountinfo").split(b"\n"):
        fields = line.split(b" ")
        if len(fields) > MOUNT_POINT and fields[MOUNT_POINT] == wanted:
            found = int(fields[PLACE])
    return found


def detach(path: str, below: int) -> None:
    """Detaches the mounts at ``path`` above the mount with id ``below`` (0: all), with everything mounted in them. Does
    nothing if they are already unmounted. Raises PyruncError if the kernel refuses."""
    from pyrunc.ffi._sys import lib

    while top(path) not in (0, below):
        result = lib.pyrunc_detach(path.encode("utf-8", "surrogateescape"))
        if result < 0:
            raise PyruncError(f"root.path: unmount {path}: {posix.strerror(-result).lower()}")
