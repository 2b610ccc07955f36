"""Files read and written whole."""

import errno
import posix

LIMIT = 1 << 26
"""Bytes that a file may have that is read: what a container can make long (mountinfo, net/dev) is no end of memory."""


def read(path: str, size: int = 65536, limit: int = LIMIT) -> bytes:
    """The file at ``path``, up to ``size`` bytes a read; OSError as open(2) and read(2) give it, EFBIG when it has more
    than ``limit`` bytes."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
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
    """One write(2) of ``value``, as files of /proc and of cgroups want it; OSError is the kernel's answer."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """All of ``data``, in as many writes as it takes. OSError is write(2)'s."""
    left = memoryview(data)
    while left:
        left = left[posix.write(descriptor, left) :]


def open_directory(path: str) -> int:
    """A descriptor below which files are opened; the caller closes it."""
    return posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)


def make_directories(path: str, mode: int, last: "int | None" = None) -> None:
    """Makes the directory ``path``, of mode ``last``, and those above it that are missing, of ``mode``. OSError is the
    kernel's answer; its ``filename`` is the directory that could not be made."""
    parts = path.rstrip("/").split("/")
    for count in range(2, len(parts) + 1):
        try:
            posix.mkdir("/".join(parts[:count]), mode if last is None or count < len(parts) else last)
        except FileExistsError:
            continue


def absolute(path: str) -> str:
    """``path`` from the root, cleaned of ``.`` and double slashes (``..`` is the kernel's to resolve)."""
    whole = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))
