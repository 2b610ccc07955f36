"""Exit statuses of child processes (wait(2))."""

import posix

from pyrunc import interrupts
from pyrunc.linux.procfs import stat
from pyrunc.linux.signals import SIGKILL

SOON = 0.05
"""Seconds in which a child that is on its way out has ended."""
PAUSE = 0.0002
KILLED = SIGKILL
"""The wait(2) status of a process that SIGKILL ended: its number, without a core dump."""


def status_of(pid: int, start_time: int, leave: bool = True) -> "int | None":
    """The exit status of a child of ours that has ended, 128 + n when signal n did it; None when it is no child of
    ours, or was waited for. ``leave``: it stays a zombie, so that the answer stays the same."""
    if not pid or stat(pid)[1] != start_time:
        return None
    try:
        # A zombie of ours keeps its pid, so this is the one that was looked at.
        found = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | (posix.WNOWAIT if leave else 0))
    except ChildProcessError:
        return None
    if found is None:
        return None
    return int(found.si_status) + (0 if found.si_code == posix.CLD_EXITED else 128)


def reap(pid: int, start_time: int) -> None:
    """Where that process was our child, nothing is left of it."""
    status_of(pid, start_time, leave=False)


def wait_for_child(pid: int) -> int:
    """Waits until our child ``pid`` has ended; its wait(2) status. ChildProcessError when it is none of ours.

    Signals are let in: a container can stop what was just cloned into it. One that traces it keeps the zombie, too
    (ptrace(2)): then the status, which the kernel does not tell us, is taken to be KILLED.
    """
    from time import monotonic, sleep

    end = monotonic() + SOON
    while True:
        ended, status = posix.waitpid(pid, posix.WNOHANG)
        if ended:
            return int(status)
        if monotonic() > end:
            break
        # Letting signals in takes the other half of the interpreter, and poll(2) a module that no archive has: 7 ms of
        # every start, for a helper that ends within one after it has told the pid.
        sleep(PAUSE)
    import select

    descriptor = posix.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        with interrupts.allowed:
            poll.poll()
    finally:
        posix.close(descriptor)
    ended, status = posix.waitpid(pid, posix.WNOHANG)
    return int(status) if ended else KILLED


def exit_status(status: int) -> int:
    """A shell's view of a wait(2) status."""
    return 128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)
