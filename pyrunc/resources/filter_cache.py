"""Compiled seccomp filters, kept until the next boot: libseccomp takes longer for an engine's than a start does."""

import posix
from _blake2 import blake2b

from pyrunc.linux.output import write_whole
from pyrunc.linux.runtime_directory import runtime_directory

NAME = "pyrunc-cache"
"""In the runtime directory, and not among the containers: engines list the state directory."""
MOST = 64
"""Files of some 10 KB; a host has a few profiles."""
CHECK = 32
"""Bytes of the digest before a filter: what a crash left is not loaded."""


class Filters:
    """Those of one ``directory``, the user's own unless given. What can't be read or kept is compiled again, and no
    error."""

    def __init__(self, directory: str = "") -> None:
        self.directory = directory or f"{runtime_directory()}/{NAME}"
        self.made: dict[str, bytes] = {}

    def find(self, wanted: bytes) -> "bytes | None":
        """The filter that was compiled from what ``wanted`` says in full."""
        try:
            directory = self._open()
            try:
                file = posix.open(_name(wanted), posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=directory)
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
        """Remembers a new one until ``save``."""
        self.made[_name(wanted)] = made

    def save(self) -> None:
        """Keeps what was added. Called when the container is made: a failure leaves nothing, not even this."""
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
        """The directory; PermissionError when it is not ours alone: others may write where it lies."""
        flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        directory = posix.open(self.directory, flags)
        status = posix.fstat(directory)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o077:
            posix.close(directory)
            raise PermissionError(self.directory)
        return directory


def _name(wanted: bytes) -> str:
    return str(blake2b(wanted, digest_size=32).hexdigest())
