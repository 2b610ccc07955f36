"""The root of a container without a mount namespace of its own: mounted over its own directory, among the host's
mounts, with all of the container's mounts below it. They are the host's, and end only when they are detached."""

import posix

from pyrunc.errors import PyruncError
from pyrunc.linux.files import read

PLACE, MOUNT_POINT = 0, 4
"""Fields of a line of mountinfo: the mount's id, and where it is (proc_pid_mountinfo(5))."""


def canonical(path: str) -> str:
    """``path`` as mountinfo has it, without symbolic links. PyruncError when it can't be opened."""
    try:
        descriptor = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise PyruncError(f"root.path: {path}: {(error.strerror or '').lower()}") from None
    try:
        return str(posix.readlink(f"/proc/self/fd/{descriptor}"))
    finally:
        posix.close(descriptor)


def top(path: str) -> int:
    """The id of the mount that lies on top at ``path`` (canonical); 0 when none does."""
    wanted = path.encode("utf-8", "surrogateescape")
    for byte in b"\\ \t\n":  # as the kernel writes them (mangle() in fs/seq_file.c); the backslash first
        wanted = wanted.replace(bytes((byte,)), b"\\%03o" % byte)
    found = 0
    for line in read("/proc/self/mountinfo").split(b"\n"):
        fields = line.split(b" ")
        if len(fields) > MOUNT_POINT and fields[MOUNT_POINT] == wanted:
            found = int(fields[PLACE])
    return found


def detach(path: str, below: int) -> None:
    """Detaches what was mounted at ``path`` over the mount ``below`` (0: over none), with all that lies in it. Where
    the caller has unmounted its own, ours went first, and nothing is done. PyruncError with the kernel's answer."""
    from pyrunc.ffi._sys import lib

    while top(path) not in (0, below):
        result = lib.pyrunc_detach(path.encode("utf-8", "surrogateescape"))
        if result < 0:
            raise PyruncError(f"root.path: unmount {path}: {posix.strerror(-result).lower()}")
