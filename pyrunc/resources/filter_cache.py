"""Caches compiled seccomp filters until the next boot. Compiling an engine's profile takes libseccomp longer than a
whole start."""

import posix
from _blake2 import blake2b

from pyrunc.linux.files import READING
from pyrunc.linux.output import write_whole
from pyrunc.linux.runtime_directory import runtime_directory

NAME = "pyrunc-cache"
"""In the runtime directory, and not in the state directory, because engines list the state directory."""
MOST = 64
"""The largest number of cached files. Each has about 10 KB, and a host uses few profiles."""
CHECK = 32
"""Bytes of the digest before each filter. A file that a crash left incomplete is not loaded."""


class Filters:
    """The cached filters in ``directory``, by default the user's own. A filter that cannot be read is compiled again,
    and a failure to save is ignored."""

    def __init__(self, directory: str = "") -> None:
        self.directory = directory or f"{runtime_directory()}/{NAME}"
        self.made: dict[str, bytes] = {}

    def find(self, wanted: bytes) -> "bytes | None":
        """Returns the filter compiled from ``wanted``, a full description of the filter, or None."""
        try:
            directory = self._open()
            try:
                file = posix.open(_name(wanted), READING | posix.O_NOFOLLOW, dir_fd=directory)
            finally:
                posix.close(directory)
            try:
                data = posix.read(file, 1 << 20)
            finally:
                posix.close(file)
        except OSError:
            return None
        found = data[CHECK:]
        return found if blake2b(found, digest_size=CHECK).digest() == data[:CHECK] else None

    def add(self, wanted: bytes, made: bytes) -> None:
        """Remembers a new filter until ``save``."""
        self.made[_name(wanted)] = made

    def save(self) -> None:
        """Writes the added filters. Called after the container was created, so that a failed create leaves nothing."""
        if not self.made:
            return
        try:
            try:
                posix.mkdir(self.directory, 0o700)
            except FileExistsError:
                pass
            directory = self._open()
            try:
                self._write(directory)
            finally:
                posix.close(directory)
        except OSError:
            return

    def _write(self, directory: int) -> None:
        entries = posix.listdir(directory)
        if len(entries) + len(self.made) > MOST:
            for name in entries:
                posix.unlink(name, dir_fd=directory)
        for name, made in self.made.items():
            data = blake2b(made, digest_size=CHECK).digest() + made
            write_whole(directory, name, data)

    def _open(self) -> int:
        """Opens the directory. Raises PermissionError unless it belongs to this user alone, because others may be able
        to write to its parent."""
        flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        directory = posix.open(self.directory, flags)
        status = posix.fstat(directory)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o077:
            posix.close(directory)
            raise PermissionError(self.directory)
        return directory


def _name(wanted: bytes) -> str:
    return str(blake2b(wanted, digest_size=32).hexdigest())
