"""Finds what a library left on the host outside of any namespace: files in /dev/shm, keys. These are only reported,
because another process of the host may have made them at the same time."""

import posix
from posixpath import realpath

from pyrunc.cgroup.host import plain
from pyrunc.errors import PyruncError
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHARED_MEMORY = "/dev/shm"
SESSIONS = b"_ses"
"""The prefix of the names of session keyrings, such as the helper's own."""


class Surroundings:
    """A snapshot of the host. ``roots``: directories below which no other process of the host mounts anything."""

    def __init__(self, roots: "Sequence[str]" = ()) -> None:
        self.before = _look()
        # mountinfo shows paths without symbolic links.
        paths = {realpath(root) for root in roots} - {"/"}
        self.roots = [path.encode("utf-8", "surrogateescape") for path in paths]
        self.mounts = self._mounts()

    def new(self) -> "list[str]":
        """Returns what has appeared since the snapshot."""
        return sorted(_look() - self.before)

    def unmount(self) -> "list[str]":
        """Detaches mounts made since the snapshot below the roots in this process's mount namespace, which a process of
        the library may have entered by setns(2). Returns their names. Raises PyruncError if one cannot be detached."""
        found = [line for line in self._mounts() if line not in self.mounts]
        if not found:
            return []
        from pyrunc.ffi._sys import lib

        for line in reversed(found):
            lib.pyrunc_detach(_mountpoint(line))
        names = mounts(b"\n".join(found))
        if self._mounts() != self.mounts:
            raise PyruncError(f"loading changed what cannot be undone: mount {'; mount '.join(names)}")
        return [f"mount {name}" for name in names]

    def _mounts(self) -> "list[bytes]":
        if not self.roots:
            return []
        lines = read("/proc/self/mountinfo").split(b"\n")
        return [line for line in lines if any(_is_below(line, root) for root in self.roots)]


def _is_below(line: bytes, root: bytes) -> bool:
    """Whether a line of mountinfo describes a mount at ``root`` or below."""
    return (_mountpoint(line) + b"/").startswith(root + b"/")


def _mountpoint(line: bytes) -> bytes:
    """Returns the mount point of a line of mountinfo, b"" if the line has none."""
    fields = line.decode("utf-8", "surrogateescape").split(" ", 5)
    return plain(fields[4]).encode("utf-8", "surrogateescape") if len(fields) > 4 else b""


def _look() -> "set[str]":
    return {*_files(), *_keys()}


def mounts(mountinfo: bytes) -> "list[str]":
    """Describes each mount of a /proc/PID/mountinfo as ``TYPE on MOUNTPOINT (OPTIONS)``. The text is the same in a copy
    of the mount namespace. Later mounts cover earlier ones."""
    found = []
    for line in mountinfo.decode("utf-8", "replace").rstrip("\n").split("\n"):
        mount, _, filesystem = line.partition(" - ")
        fields, kind = mount.split(), filesystem.split()
        found.append(f"{kind[0]} on {fields[4]} ({fields[3]} {fields[5]} {kind[-1]})")
    return found


def _files() -> "Iterable[str]":
    try:
        return {f"file {SHARED_MEMORY}/{name}" for name in posix.listdir(SHARED_MEMORY)}
    except OSError:
        return set()


def _keys() -> "Iterable[str]":
    """Returns the keys of this user that this process may see (keyrings(7), /proc/keys)."""
    try:
        rows = [line.split(None, 8) for line in read("/proc/keys").splitlines()]
    except OSError:
        return set()
    ours = str(posix.geteuid()).encode()
    return {
        f"key {row[0].decode()} ({row[7].decode()}: {row[8].decode('utf-8', 'replace').rstrip()})"
        for row in rows
        if len(row) == 9 and row[5] == ours and not row[8].startswith(SESSIONS)
    }
