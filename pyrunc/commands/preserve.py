"""What our caller passes on: descriptors (--preserve-fds, sd_listen_fds(3)) and its service manager's socket."""

import posix

from pyrunc.errors import PyruncError


def notify_socket() -> str:
    """The service manager's, of who runs us as a service (sd_notify(3))."""
    path: bytes = posix.environ.get(b"NOTIFY_SOCKET", b"")
    return path.decode("utf-8", "surrogateescape")


def preserved(count: "int | None") -> "tuple[int, list[str]]":
    """(descriptors from 3 on that the process gets, variables with them): --preserve-fds, sd_listen_fds(3)."""
    total = count or 0
    listening = posix.environ.get(b"LISTEN_FDS", b"")
    if (
        listening.isdigit()
        and int(listening)
        and posix.environ.get(b"LISTEN_PID") in (None, str(posix.getpid()).encode())
    ):
        total += int(listening)
        return _checked(total), [f"LISTEN_FDS={int(listening)}", "LISTEN_PID=1"]
    return _checked(total), []


def _checked(total: int) -> int:
    for descriptor in range(3, 3 + total):
        try:
            posix.fstat(descriptor)
        except OSError:
            raise PyruncError(f"--preserve-fds {total}: descriptor {descriptor} is not open") from None
    return total
