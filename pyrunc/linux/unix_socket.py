"""Connects to sockets that the caller names: the console socket, the pidfd socket, a seccomp agent."""

import errno
import posix
import sys
from _socket import AF_UNIX, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket

from pyrunc import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT = 10
"""Seconds that a listener has to accept a connection, and to receive what is sent."""
KIND, SOCKET = 0o170000, 0o140000


def connect(path: str, kind: int = SOCK_STREAM) -> "Any":
    """Returns a socket connected to ``path``, whose sends and receives time out after TIMEOUT. The caller closes it.

    Raises OSError: ETIMEDOUT if the listener does not accept the connection, ELOOP if ``path`` is a symbolic link. In a
    directory that other users can write to, a link could redirect the data. ``path`` may be longer than sun_path
    (unix(7)).
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
    """Makes sends and receives fail with EAGAIN after ``seconds``, by the kernel's own timeout. Python's timeout makes
    a socket non-blocking, and then a listener with a full queue refuses a connection at once (unix(7))."""
    size = 8 if sys.maxsize > 1 << 32 else 4
    value = seconds.to_bytes(size, sys.byteorder) + bytes(size)  # struct timeval
    connection.setsockopt(SOL_SOCKET, SO_SNDTIMEO, value)
    connection.setsockopt(SOL_SOCKET, SO_RCVTIMEO, value)
