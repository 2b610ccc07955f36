"""sd_notify(3) out of a container: the service manager that runs pyrunc learns when the container's program is ready.

With $NOTIFY_SOCKET in our environment, `create` and `run` give the container a socket of its own; `start` and `run`
pass on what says READY=1, with MAINPID when no process of pyrunc's stays (as runc does).
"""

import posix
import select
import sys
from _socket import AF_UNIX, MSG_DONTWAIT, SCM_RIGHTS, SOCK_DGRAM, SOL_SOCKET, socket

from pyrunc.errors import PyruncError
from pyrunc.linux.unix_socket import KIND, SOCKET, limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Config

DIRECTORY = "notify"
"""Below the container's state directory, where the container has such a socket."""
NAME = "notify.sock"
INSIDE = "/run/notify"
SEND_TIMEOUT = 10
"""Seconds that the service manager has to read what was sent to it before."""
BARRIER_TIMEOUT = 1000
"""Milliseconds that the service manager has to take the message, before we may be gone (sd_notify_barrier(3))."""


def give(spec: "Config", directory: str) -> None:
    """The mount and the variable with which the program finds the socket in ``directory``."""
    from pyrunc.spec.shape import build

    options = ["bind", "nosuid", "noexec", "nodev", "ro"]
    mount = build("Mount", {"destination": INSIDE, "type": "bind", "source": directory, "options": options})
    spec.mounts = [*spec.mounts, mount]
    if spec.process is not None:
        spec.process.env = [*spec.process.env, f"NOTIFY_SOCKET={INSIDE}/{NAME}"]


def listen(state_directory: int) -> "Any":
    """The container's socket, below the state directory that is open as ``state_directory``."""
    listener = socket(AF_UNIX, SOCK_DGRAM)
    path = f"/proc/self/fd/{state_directory}/{DIRECTORY}/{NAME}"  # the directory's own may be too long (unix(7))
    try:
        listener.bind(path)
        _open_to_all(path)
    except OSError as error:
        raise PyruncError(f"notify socket: {error.strerror}") from None
    return listener


def _open_to_all(path: str) -> None:
    """Any user in the container may say that it is ready. By descriptor: a process of the container that may write to
    the directory can have put a link in the socket's place."""
    made = posix.open(path, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    try:
        if posix.fstat(made).st_mode & KIND == SOCKET:
            posix.chmod(f"/proc/self/fd/{made}", 0o777)
    finally:
        posix.close(made)


def forward(listener: "Any", host: str, pid: int, main: bool) -> None:
    """Waits until the program says READY=1, and passes it on to ``host``; with ``main`` that ``pid`` is the service's
    process.

    Ends with ``pid``. That ``host`` does not take the message is no error.
    """
    try:
        init = posix.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    for descriptor in (init, listener.fileno()):
        poll.register(descriptor, select.POLLIN)
    try:
        while True:
            found = dict(poll.poll())
            if listener.fileno() in found:
                said = listener.recv(4096, MSG_DONTWAIT).split(b"\n")
                if any(line.startswith(b"READY=") for line in said):
                    _tell(host, b"READY=1\n" + (b"MAINPID=%d\n" % pid if main else b""))
                    return
            if init in found:
                return
    except OSError:
        return
    finally:
        posix.close(init)
        listener.close()


def _tell(host: str, message: bytes) -> None:
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    manager = socket(AF_UNIX, SOCK_DGRAM)
    limit(manager, SEND_TIMEOUT)
    try:
        manager.connect(f"\0{host[1:]}" if host.startswith("@") else host)
        manager.send(message)
        manager.sendmsg([b"BARRIER=1"], [(SOL_SOCKET, SCM_RIGHTS, writing.to_bytes(4, sys.byteorder))])
    finally:
        manager.close()
        posix.close(writing)
    poll = select.poll()
    poll.register(reading, 0)
    poll.poll(BARRIER_TIMEOUT)  # POLLHUP: the manager has closed its end
    posix.close(reading)
