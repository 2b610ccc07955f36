"""Waiting for our child in the foreground: signals go to it, and what came to us as a subreaper is reaped.

Without a terminal this takes no more than half an interpreter (interpreter.py); ``terminal_wait.py`` has the terminal.
"""

import posix

from pyrunc import interpreter
from pyrunc.linux import pidfd, wait_status


def wait(pid: int) -> int:
    """The exit status of ``pid`` (128+n). Signals are blocked (``block``)."""
    process = posix.pidfd_open(pid)
    try:
        while True:
            status = reap(pid)
            if status is not None:
                return wait_status.exit_status(status)
            number = _next_signal()
            if number:
                forward(process, number)
    finally:
        posix.close(process)


def block() -> None:
    """Before ``wait``: signals are the process's from here on. Half started, the launcher has them blocked."""
    if not interpreter.half_started():
        from pyrunc.foreground import signals

        signals.block()


def _next_signal() -> int:
    """The next one that is to be handed on; 0 when it was for ourselves."""
    if interpreter.half_started():
        import _launcher

        return int(_launcher.next_signal())
    from pyrunc.foreground import signals

    return signals.next_signal()


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


def forward(process: int, number: int) -> None:
    """Hands a signal on; to a process that has gone it need not go."""
    try:
        pidfd.send_by(process, number)
    except ProcessLookupError:
        pass
