"""Waiting for a process in the foreground that has a terminal, which is between it and ours; and that one's signals."""

import _signal
import posix

from pyrunc import interrupts
from pyrunc.container.process import exit_status
from pyrunc.container.waiting import forward, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.terminal import Foreground

NOT_FORWARDED = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG, _signal.SIGWINCH)
FAULTS = (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP, _signal.SIGABRT)


def signals() -> "set[int]":
    """What is forwarded, with SIGCHLD and SIGWINCH for ourselves."""
    return set(_signal.valid_signals()) - {*NOT_FORWARDED, *FAULTS} | {_signal.SIGCHLD, _signal.SIGWINCH}


def block() -> "set[int]":
    """Blocks them before the launch, so that none is lost; returns the old mask."""
    interrupts.take()
    return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, signals()))


def next_signal() -> int:
    """Waits for the next one; 0 when it was for ourselves."""
    number = int(_signal.sigwait(signals()))
    return 0 if number in (_signal.SIGCHLD, _signal.SIGWINCH) else number


def wait(pid: int, terminal: "Foreground") -> int:
    """Waits for our child ``pid``, and copies between both terminals. Returns its exit status (128+n)."""
    pidfd = posix.pidfd_open(pid)
    try:
        return _wait(pid, pidfd, terminal)
    finally:
        posix.close(pidfd)


def _wait(pid: int, pidfd: int, terminal: "Foreground") -> int:
    """poll(2) on both terminals and the process; signals wake it through a pipe."""
    import select

    reading, writing = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    # A handler that does nothing: Python's own C handler writes the number of every signal into the pipe.
    for number in signals():
        _signal.signal(number, lambda *_: None)
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, signals())
    poll = select.poll()
    for descriptor in (reading, pidfd, terminal.master, 0):
        poll.register(descriptor, select.POLLIN)
    status = None
    output = True
    try:
        while output or status is None:
            events = dict(poll.poll(0 if status is not None else None))
            if status is not None and terminal.master not in events:
                break  # it has ended, and what it wrote has been read
            if reading in events:
                for number in posix.read(reading, 512):
                    if number == _signal.SIGWINCH:
                        terminal.resize()
                    elif number != _signal.SIGCHLD:
                        forward(pidfd, number)
            if terminal.master in events and not terminal.copy_out():
                poll.unregister(terminal.master)
                output = False
            if 0 in events and status is None and not terminal.copy_in():
                poll.unregister(0)
            if pidfd in events and status is None:
                status = reap(pid)
                poll.unregister(pidfd)
        while status is None:
            status = reap(pid)
            if status is None:
                select.select([pidfd], [], [])
        return exit_status(status)
    finally:
        _signal.set_wakeup_fd(-1)
        posix.close(reading)
        posix.close(writing)
