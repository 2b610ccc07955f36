"""SCMP_ACT_NOTIFY: sends the listener that seccomp(2) returned in the container's process to the agent (runtime-spec
config-linux.md "The Container Process State")."""

import sys
from _socket import CMSG_LEN, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET

from pyrunc import interrupts
from pyrunc.errors import StepError
from pyrunc.linux import unix_socket
from pyrunc.spec.json_text import dumps
from pyrunc.spec.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PLACE = "linux.seccomp.listenerPath"


def receive(connection: "Any", size: int) -> "tuple[bytes, int]":
    """Returns (the helper's next message, the descriptor that came with it or -1). The caller closes the descriptor."""
    message, rights, _, _ = connection.recvmsg(size, CMSG_LEN(4), MSG_CMSG_CLOEXEC)
    return message, descriptor(rights)


def descriptor(rights: "Sequence[tuple[int, int, bytes]]") -> int:
    """Returns the descriptor in the ancillary data of recvmsg(2), or -1."""
    for level, kind, data in rights:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            return int.from_bytes(data[:4], sys.byteorder)
    return -1


def send(path: str, metadata: str, listener: int, pid: int, state: str) -> None:
    """Sends ``listener`` to the agent at ``path``, with the state of the process ``pid`` and of its container
    (``state``, JSON).

    Raises StepError if no agent accepts it. The caller closes ``listener``.
    """
    told: dict[str, Any] = {"ociVersion": VERSION, "fds": ["seccompFd"], "pid": pid}
    if metadata:
        told["metadata"] = metadata
    data = f'{dumps(told)[:-1]},"state":{state}}}'.encode()
    rights = [(SOL_SOCKET, SCM_RIGHTS, listener.to_bytes(4, sys.byteorder))]
    connection = None
    try:
        connection = unix_socket.connect(path)
        # The descriptor goes with the first bytes. The state may be longer than one message.
        with interrupts.allowed:
            sent = connection.sendmsg([data], rights)
            while sent < len(data):
                sent += connection.send(data[sent:])
    except OSError as error:
        raise StepError(0, PLACE, f"{path}: {(error.strerror or str(error)).lower()}", error.errno or 0) from None
    finally:
        if connection is not None:
            connection.close()
