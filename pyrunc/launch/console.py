"""The console socket, which receives the terminal's master, and the pidfd socket (--console-socket, --pidfd-socket)."""

import posix
import sys
from _socket import CMSG_LEN, MSG_CMSG_CLOEXEC, MSG_DONTWAIT, SCM_RIGHTS, SOL_SOCKET

from pyrunc.errors import PyruncError
from pyrunc.linux import unix_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(path: str) -> int:
    """Returns a descriptor connected to the console socket at ``path``."""
    return int(_connected("console socket", path).detach())


def _connected(what: str, path: str) -> "Any":
    try:
        return unix_socket.connect(path)
    except OSError as error:
        raise PyruncError(f"{what} {path}: {(error.strerror or str(error)).lower()}") from None


def pidfd_sender(path: str) -> "Callable[[int], None]":
    """Returns a function that sends a pidfd of a process to the socket at ``path`` (--pidfd-socket). Connects at once,
    so that nothing is created if the caller does not listen."""
    connection = _connected("pidfd socket", path)

    def send(pid: int) -> None:
        try:
            descriptor = posix.pidfd_open(pid)
            try:
                connection.sendmsg([b"pidfd"], [(SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))])
            finally:
                posix.close(descriptor)
        except OSError as error:
            raise PyruncError(f"pidfd socket {path}: {(error.strerror or str(error)).lower()}") from None
        finally:
            connection.close()

    return send


def receive(connection: "Any") -> int:
    """Receives the terminal's master, which the helper has sent."""
    try:
        _, ancillary, _, _ = connection.recvmsg(4096, CMSG_LEN(4), MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        ancillary = []
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            return int.from_bytes(data[:4], sys.byteorder)
    raise PyruncError("the terminal's master did not arrive")
