"""What our caller passes on: descriptors (--preserve-fds, sd_listen_fds(3)) and its service manager's socket."""

import posix

from pyrunc.errors import PyruncError


def notify_socket() -> str:
    """The service manager's, of who runs us as a service (sd_notify(3))."""
    path: bytes = posix.environ.get(b"NOTIFY_SOCKET", b"")
    return path.decode("utf-8", "surrogateescape")


def preserved(count: "int | None", all_open: bool = True) -> "tuple[int, list[str]]":
    """(descriptors from 3 on that the process gets, variables with them): --preserve-fds, sd_listen_fds(3).

    PyruncError where one is not open, unless not ``all_open``: as runc, `run` refuses it and `exec` does not.
    """
    total = count or 0
    if total < 0:
        raise PyruncError(f"--preserve-fds {total}: must not be negative")
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
    if all_open:
        _check_open(total)
    return total, variables


def _check_open(total: int) -> None:
    for descriptor in range(3, 3 + total):
        try:
            posix.fstat(descriptor)
        except OSError:
            raise PyruncError(f"--preserve-fds {total}: descriptor {descriptor} is not open") from None
