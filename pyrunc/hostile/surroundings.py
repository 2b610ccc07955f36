"""What a library may leave on the host, and no namespace takes back: files in /dev/shm, keys. It is named only: another
process of the host may have made it in the same milliseconds."""

import posix

from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SHARED_MEMORY = "/dev/shm"
SESSIONS = b"_ses"
"""Names of session keyrings, the helper's own among them, begin so."""


class Surroundings:
    """The host as it is now."""

    def __init__(self) -> None:
        self.before = _look()

    def new(self) -> "list[str]":
        """What has appeared since."""
        return sorted(_look() - self.before)


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
