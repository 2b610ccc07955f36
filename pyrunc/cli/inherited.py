"""What our caller passes on: descriptors (--preserve-fds, sd_listen_fds(3)), its service manager's socket, and the
socket that is given a pidfd."""

import posix

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def pidfd_sender(path: "str | None") -> "Callable[[int], None]":
    """Returns a function that sends the pidfd of a process to --pidfd-socket. It connects now, so that no container is
    made without a listener."""
    if not path:
        return _nothing
    from pyrunc.launch import console

    return console.pidfd_sender(path)


def _nothing(pid: int) -> None:
    pass


def notify_socket() -> str:
    """The service manager's, of who runs us as a service (sd_notify(3))."""
    path: bytes = posix.environ.get(b"NOTIFY_SOCKET", b"")
    return path.decode("utf-8", "surrogateescape")


def preserved(count: int) -> "tuple[int, list[str]]":
    """(descriptors from 3 on that init gets, variables with them): --preserve-fds (below 0: none), sd_listen_fds(3).

    PyruncError where one is not open. `exec` is not like that, as with runc: it passes over what is not open, and what
    a service manager gave us is for the container's init.
    """
    total = max(count, 0)
    variables: list[str] = []
    listening = posix.environ.get(b"LISTEN_FDS", b"")
    if (
        listening.isdigit()
        and len(listening) < 10
        and int(listening)
        and posix.environ.get(b"LISTEN_PID") in (None, str(posix.getpid()).encode())
    ):
        total += int(listening)
        variables = [f"LISTEN_FDS={int(listening)}", "LISTEN_PID=1"]
    _check_open(total)
    return total, variables


def _check_open(total: int) -> None:
    for descriptor in range(3, 3 + total):
        try:
            posix.fstat(descriptor)
        except OSError:
            raise PyruncError(f"--preserve-fds {total}: descriptor {descriptor} is not open") from None
