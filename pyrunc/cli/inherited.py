"""What the caller passes to pyrunc: descriptors (--preserve-fds, sd_listen_fds(3)), the socket of its service manager,
and the socket that receives a pidfd."""

import posix

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def pidfd_sender(path: "str | None") -> "Callable[[int], None]":
    """Returns a function that sends the pidfd of a process to --pidfd-socket. Connects immediately, so that no
    container is made if nothing listens."""
    if not path:
        return _nothing
    from pyrunc.launch import console

    return console.pidfd_sender(path)


def _nothing(pid: int) -> None:
    pass


def notify_socket() -> str:
    """Returns the path of the service manager's socket, "" if pyrunc is not run as a service (sd_notify(3))."""
    path: bytes = posix.environ.get(b"NOTIFY_SOCKET", b"")
    return path.decode("utf-8", "surrogateescape")


def preserved(count: int) -> "tuple[int, list[str]]":
    """Returns (number of descriptors from 3 on that init gets, environment variables for them), for --preserve-fds
    (negative: none) and sd_listen_fds(3).

    PyruncError if one of them is not open. As in runc, this is not used for `exec`, which skips descriptors that are
    not open, and does not pass on those of a service manager: they are for the container's init.
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
