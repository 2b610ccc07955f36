"""The socket on which a created container's init waits for `start`."""

import posix
from _socket import AF_UNIX, SOCK_SEQPACKET, socket

from pyrunc.container.store import SOCKET
from pyrunc.linux.files import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 10
"""That init has to take a connection, of which its queue is full."""


def listen(state_directory: int) -> int:
    """Binds it below the state directory that is open as ``state_directory``; returns the descriptor for init."""
    waiting = socket(AF_UNIX, SOCK_SEQPACKET)
    # By descriptor: the state directory's own path may be longer than sun_path (unix(7)).
    waiting.bind(f"/proc/self/fd/{state_directory}/{SOCKET}")
    waiting.listen(8)
    return int(waiting.detach())


def connect(state_directory: int) -> "Any":
    """A connection to init, to let it go; OSError when it does not listen. The caller closes it."""
    from pyrunc.linux.unix_socket import limit

    connection = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        limit(connection, SECONDS)
        connection.connect(f"/proc/self/fd/{state_directory}/{SOCKET}")
    except BaseException:
        connection.close()
        raise
    return connection


def has_listener(path: str) -> bool:
    """Whether init listens, below the state directory at ``path``. A connection that says nothing starts nothing."""
    try:
        directory = open_directory(path)
    except FileNotFoundError:
        return False
    connection = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
    except BlockingIOError:
        return True  # it listens, and its queue is full of such questions: it is frozen
    except (ConnectionError, FileNotFoundError):
        return False
    finally:
        connection.close()
        posix.close(directory)
    return True
