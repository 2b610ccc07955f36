"""Connections to sockets that the caller names: of the console, of a pidfd, of a seccomp agent."""

import errno
import posix
import sys
from _socket import AF_UNIX, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket

from pyrunc import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT = 10
"""Seconds that a listener has to accept us, and to take what we send."""
KIND, SOCKET = 0o170000, 0o140000


def connect(path: str, kind: int = SOCK_STREAM) -> "Any":
    """A socket connected to ``path``, whose sends and receives end after TIMEOUT. The caller closes it.

    OSError with the reason: ETIMEDOUT when the connection is not accepted, ELOOP when ``path`` is a symbolic link (in a
    directory that others write to, it may lead what we send to them). A path may be longer than sun_path (unix(7)).
    """
    found = posix.open(path, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    connection = socket(AF_UNIX, kind)
    try:
        mode = posix.fstat(found).st_mode & KIND
        if mode != SOCKET:
            number = errno.ELOOP if mode == 0o120000 else errno.ECONNREFUSED
            raise OSError(number, "is a symbolic link" if number == errno.ELOOP else "connection refused")
        limit(connection, TIMEOUT)
        try:
            with interrupts.allowed:
                connection.connect(f"/proc/self/fd/{found}")
        except BlockingIOError:
            raise TimeoutError(errno.ETIMEDOUT, f"the connection is not accepted within {TIMEOUT} s") from None
    except BaseException:
        connection.close()
        raise
    finally:
        posix.close(found)
    return connection


def limit(connection: "Any", seconds: int) -> None:
    """Sends and receives end after ``seconds`` with EAGAIN. The kernel's own limit: with Python's, which makes a socket
    non-blocking, a listener whose queue is full refuses a connection at once (unix(7))."""
    size = 8 if sys.maxsize > 1 << 32 else 4
    value = seconds.to_bytes(size, sys.byteorder) + bytes(size)  # struct timeval
    connection.setsockopt(SOL_SOCKET, SO_SNDTIMEO, value)
    connection.setsockopt(SOL_SOCKET, SO_RCVTIMEO, value)
