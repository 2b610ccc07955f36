"""The socket on which a created container's init waits for `start`."""

import posix
from _socket import AF_UNIX, SOCK_SEQPACKET, socket

from pyrunc.container.store import SOCKET
from pyrunc.linux.files import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 10
"""How long ``connect`` waits if the queue of init's socket is full."""


def listen(state_directory: int) -> int:
    """Binds the socket in the state directory, open as ``state_directory``; returns the descriptor for init."""
    waiting = socket(AF_UNIX, SOCK_SEQPACKET)
    # By descriptor: the path of the state directory may be longer than sun_path (unix(7)).
    waiting.bind(f"/proc/self/fd/{state_directory}/{SOCKET}")
    waiting.listen(8)
    return int(waiting.detach())


def connect(state_directory: int) -> "Any":
    """Returns a connection to init; the caller closes it. OSError if init does not listen."""
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
    """Whether init listens on the socket in the state directory ``path``. A connection without a message does not start
    the program."""
    try:
        directory = open_directory(path)
    except FileNotFoundError:
        return False
    connection = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
    except BlockingIOError:
        return True  # init listens, but is frozen, and its queue is full of such connections
    except (ConnectionError, FileNotFoundError):
        return False
    finally:
        connection.close()
        posix.close(directory)
    return True
