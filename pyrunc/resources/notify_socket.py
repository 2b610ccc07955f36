"""sd_notify(3) from inside a container: tells the service manager that runs pyrunc when the container's program is
ready.

If $NOTIFY_SOCKET is set, `create` and `run` give the container a socket of its own. `start` and `run` forward READY=1,
and add MAINPID if no process of pyrunc stays (as runc does).
"""

import posix
import select
import sys
from _socket import AF_UNIX, MSG_DONTWAIT, SCM_RIGHTS, SOCK_DGRAM, SOL_SOCKET, socket

from pyrunc.errors import PyruncError
from pyrunc.linux.pidfd import open_now
from pyrunc.linux.unix_socket import KIND, SOCKET, limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Config

DIRECTORY = "notify"
"""The directory of the container's socket, below its state directory."""
NAME = "notify.sock"
INSIDE = "/run/notify"
SEND_TIMEOUT = 10
"""Seconds to wait until the service manager has read earlier messages."""
BARRIER_TIMEOUT = 1000
"""Milliseconds to wait until the service manager has read the message, because pyrunc may exit after it
(sd_notify_barrier(3))."""


def give(spec: "Config", directory: str) -> None:
    """Adds the mount and the variable by which the program finds the socket in ``directory``."""
    from pyrunc.spec.shape import build

    options = ["bind", "nosuid", "noexec", "nodev", "ro"]
    mount = build("Mount", {"destination": INSIDE, "type": "bind", "source": directory, "options": options})
    spec.mounts = [*spec.mounts, mount]
    if spec.process is not None:
        spec.process.env = [*spec.process.env, f"NOTIFY_SOCKET={INSIDE}/{NAME}"]


def listen(state_directory: int) -> "Any":
    """Returns the container's socket, created below the open ``state_directory``."""
    listener = socket(AF_UNIX, SOCK_DGRAM)
    path = f"/proc/self/fd/{state_directory}/{DIRECTORY}/{NAME}"  # the real path may be too long (unix(7))
    try:
        listener.bind(path)
        _open_to_all(path)
    except OSError as error:
        raise PyruncError(f"notify socket: {error.strerror}") from None
    return listener


def _open_to_all(path: str) -> None:
    """Lets every user in the container send to the socket. Changes the mode by descriptor, because a process of the
    container that can write to the directory may have replaced the socket by a link."""
    made = posix.open(path, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    try:
        if posix.fstat(made).st_mode & KIND == SOCKET:
            posix.chmod(f"/proc/self/fd/{made}", 0o777)
    finally:
        posix.close(made)


def forward(listener: "Any", host: str, pid: int, main: bool) -> None:
    """Waits until the program sends READY=1, and forwards it to ``host``. ``main``: also report ``pid`` as the
    service's main process.

    Returns when ``pid`` has ended. It is not an error if ``host`` does not accept the message.
    """
    init = open_now(pid)
    if init < 0:
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
