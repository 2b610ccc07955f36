"""Waiting for our child in the foreground: signals go to it, and what came to us as a subreaper is reaped.

Without a terminal this takes no more than half an interpreter (hot.py); ``foreground.py`` has the terminal.
"""

import posix

from pyrunc import hot
from pyrunc.container import process


def wait(pid: int) -> int:
    """The exit status of ``pid`` (128+n). Signals are blocked, as ``attached.block_signals`` does it."""
    pidfd = posix.pidfd_open(pid)
    try:
        while True:
            status = reap(pid)
            if status is not None:
                return process.exit_status(status)
            number = _next_signal()
            if number:
                forward(pidfd, number)
    finally:
        posix.close(pidfd)


def _next_signal() -> int:
    """The next one that is to be handed on; 0 when it was for ourselves."""
    if hot.half_started():
        import _launcher

        return int(_launcher.next_signal())
    from pyrunc.container import foreground

    return foreground.next_signal()


def reap(pid: int) -> "int | None":
    """Reaps every child that has ended; the wait status when ``pid`` is one of them."""
    found = None
    while True:
        try:
            ended, status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = status


def forward(pidfd: int, number: int) -> None:
    """Hands a signal on; to a process that has gone it need not go."""
    try:
        process.send_by(pidfd, number)
    except ProcessLookupError:
        pass
