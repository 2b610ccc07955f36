"""Waits for the child process in the foreground: forwards signals to it, and reaps orphans if this process is a
subreaper.

Without a terminal this needs only the first phase of the interpreter (interpreter.py). ``terminal_wait.py`` handles
terminals.
"""

import posix

from pyrunc import interpreter
from pyrunc.linux import pidfd, wait_status


def wait(pid: int) -> int:
    """Returns the exit status of ``pid`` (128+n). Signals must be blocked (``block``)."""
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
    """Called before ``wait``: from here on signals are for the process. In the first phase of the interpreter the
    launcher has blocked them."""
    if not interpreter.half_started():
        from pyrunc.foreground import signals

        signals.block()


def _next_signal() -> int:
    """Returns the next signal to forward, 0 if the runtime handles it itself."""
    if interpreter.half_started():
        import _launcher

        return int(_launcher.next_signal())
    from pyrunc.foreground import signals

    return signals.next_signal()


def reap(pid: int) -> "int | None":
    """Reaps every child that has ended. Returns the wait status of ``pid`` if it is one of them."""
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
    """Forwards a signal. Does nothing if the process has ended."""
    try:
        pidfd.send_by(process, number)
    except ProcessLookupError:
        pass
