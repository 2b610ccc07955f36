"""Exit statuses of child processes (wait(2))."""

import posix

from pyrunc import interrupts
from pyrunc.linux.procfs import stat
from pyrunc.linux.signals import SIGKILL

SOON = 0.05
"""Seconds within which a child process that has begun to exit usually has ended."""
PAUSE = 0.0002
KILLED = SIGKILL
"""The wait(2) status of a process that SIGKILL ended: the signal's number, without a core dump."""


def status_of(pid: int, start_time: int, leave: bool = True) -> "int | None":
    """Returns the exit status of an ended child process, 128 + n if signal n ended it. Returns None if it still runs,
    is not a child of this process, or was reaped. ``leave`` keeps the zombie, so that later calls return the same."""
    if not pid or stat(pid)[1] != start_time:
        return None
    try:
        # A zombie keeps its pid, so this is the process whose start time was compared.
        found = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | (posix.WNOWAIT if leave else 0))
    except ChildProcessError:
        return None
    if found is None:
        return None
    return int(found.si_status) + (0 if found.si_code == posix.CLD_EXITED else 128)


def reap(pid: int, start_time: int) -> None:
    """Reaps the process if it is an ended child of this process."""
    status_of(pid, start_time, leave=False)


def wait_for_child(pid: int) -> int:
    """Waits until the child process ``pid`` has ended, and returns its wait(2) status. Raises ChildProcessError if it
    is not a child of this process.

    Signals are allowed meanwhile, because a container can stop a process that was just cloned into it. A container that
    traces the process also keeps the zombie (ptrace(2)). The kernel then does not report the status to the parent, and
    this function returns KILLED.
    """
    from time import monotonic, sleep

    end = monotonic() + SOON
    while True:
        ended, status = posix.waitpid(pid, posix.WNOHANG)
        if ended:
            return int(status)
        if monotonic() > end:
            break
        # Allowing signals needs the second phase of the interpreter, and poll(2) a module that is in no archive: 7 ms
        # per start, while the helper ends within one millisecond after it has reported the pid.
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
    """Converts a wait(2) status to a shell's exit status."""
    return 128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)
