"""What a library may leave on the host, and no namespace takes back: files in /dev/shm, keys. It is named only: another
process of the host may have made it in the same milliseconds."""

import posix
import re
from posixpath import realpath

from pyrunc.errors import PyruncError
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHARED_MEMORY = "/dev/shm"
SESSIONS = b"_ses"
"""Names of session keyrings, the helper's own among them, begin so."""


class Surroundings:
    """The host as it is now. ``roots``: directories in which no other process of the host mounts anything."""

    def __init__(self, roots: "Sequence[str]" = ()) -> None:
        self.before = _look()
        # mountinfo has no symbolic links in its paths.
        paths = {realpath(root) for root in roots} - {"/"}
        self.roots = [path.encode("utf-8", "surrogateescape") for path in paths]
        self.mounts = self._mounts()

    def new(self) -> "list[str]":
        """What has appeared since."""
        return sorted(_look() - self.before)

    def unmount(self) -> "list[str]":
        """Detaches what has been mounted since below the roots in our own mount namespace, where a process of the
        library's may have come by setns(2). The names of it; PyruncError for what can't be."""
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
    """Whether the mount of a line of mountinfo is at ``root`` or below."""
    return (_mountpoint(line) + b"/").startswith(root + b"/")


def _mountpoint(line: bytes) -> bytes:
    """Of a line of mountinfo, which has space, tab, newline and backslash in octal (proc_pid_mountinfo(5))."""
    fields = line.split(b" ", 5)
    return re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]), fields[4]) if len(fields) > 4 else b""


def _look() -> "set[str]":
    return {*_files(), *_keys()}


def mounts(mountinfo: bytes) -> "list[str]":
    """Each mount of a /proc/PID/mountinfo in words: ``TYPE on MOUNTPOINT (OPTIONS)``; the same in a copy of the mount
    namespace. Later ones cover earlier ones."""
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
    """Those of our user that we may see (keyrings(7), /proc/keys)."""
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
