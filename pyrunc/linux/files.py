"""Reads and writes whole files."""

import errno
import posix

LIMIT = 1 << 26
"""The size in bytes above which a file is not read. A container can make some files long (mountinfo, net/dev); the
limit bounds the memory that they take."""
READING = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
"""The flags for every file that pyrunc reads for itself: a FIFO in its place does not block open(2)."""


def read(path: str, size: int = 65536, limit: int = LIMIT) -> bytes:
    """Returns the content of ``path``, in reads of ``size`` bytes. Raises OSError as open(2) and read(2) do, and EFBIG
    if the file has more than ``limit`` bytes. A FIFO counts as an empty file, and gives EAGAIN if it has a writer."""
    descriptor = posix.open(path, READING)
    try:
        parts = []
        while part := posix.read(descriptor, size):
            parts.append(part)
            limit -= len(part)
            if limit < 0:
                raise OSError(errno.EFBIG, "file too large")
        return b"".join(parts)
    finally:
        posix.close(descriptor)


def write(path: str, value: str) -> None:
    """Writes ``value`` in one write(2), as the files of /proc and of cgroups require. Raises OSError on failure."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of ``data``, in as many calls as write(2) needs. Raises OSError if one of them fails."""
    left = memoryview(data)
    while left:
        left = left[posix.write(descriptor, left) :]


def exists(path: str) -> bool:
    """Whether there is a file at ``path``. Raises OSError, except ENOENT, as stat(2) does."""
    try:
        posix.stat(path)
        return True
    except FileNotFoundError:
        return False


def open_directory(path: str) -> int:
    """Returns an O_PATH descriptor of the directory ``path``. The caller closes it."""
    return posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)


def make_directories(path: str, mode: int, last: "int | None" = None) -> None:
    """Creates the directory ``path`` with mode ``last``, and missing parents with mode ``mode``. Raises OSError whose
    ``filename`` is the directory that could not be created."""
    parts = path.rstrip("/").split("/")
    for count in range(2, len(parts) + 1):
        try:
            posix.mkdir("/".join(parts[:count]), mode if last is None or count < len(parts) else last)
        except FileExistsError:
            continue


def absolute(path: str) -> str:
    """Returns ``path`` as an absolute path without ``.`` and double slashes. ``..`` is left for the kernel to
    resolve."""
    whole = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))
