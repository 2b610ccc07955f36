"""Signals and waits by pidfd, so that a signal never reaches a process with a reused pid (pidfd_open(2), Linux 5.3)."""

import posix

from pyrunc import interpreter, log
from pyrunc.errors import NotRunning
from pyrunc.linux.procfs import alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


ENDED = (3, 22)
"""ESRCH, and EINVAL: the process has ended, but its pid is still that of a process group or a session. Newer kernels
return ESRCH for that, too."""


def open_now(pid: int) -> int:
    """Returns a pidfd of the process that has ``pid`` now, -1 if it has ended. The caller closes it."""
    try:
        return int(posix.pidfd_open(pid))
    except OSError as error:
        if error.errno in ENDED:
            return -1
        raise


def open_process(pid: int, start_time: int) -> int:
    """Returns a pidfd of the process with this start time, -1 if that process has ended. The caller closes it."""
    descriptor = open_now(pid)
    if descriptor < 0:
        return -1
    # Checked after the open: only then does the answer concern the process that the descriptor refers to.
    if alive(pid, start_time):
        return descriptor
    posix.close(descriptor)
    return -1


def ended(pid: int, start_time: int, timeout: "float | None" = None) -> bool:
    """Waits until the process with this start time has ended. Returns False after ``timeout`` seconds."""
    descriptor = open_process(pid, start_time)
    if descriptor < 0:
        return True
    try:
        return bool(ready([descriptor], timeout))
    finally:
        posix.close(descriptor)


def await_end(pid: int, seconds: float = 2.0) -> None:
    """Waits until the process that has ``pid`` now has ended, at most ``seconds``. A zombie counts as ended."""
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        ready([descriptor], seconds)
    finally:
        posix.close(descriptor)


def ready(descriptors: "Sequence[int]", timeout: "float | None") -> "set[int]":
    """Returns the descriptors that can be read or are at end of file; an empty set after ``timeout`` seconds."""
    import select

    poll = select.poll()  # select(2) is limited to descriptors up to 1023
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(None if timeout is None else max(0.0, timeout) * 1000)}


def send_by(descriptor: int, signal: int) -> None:
    """pidfd_send_signal(2), which also works while the interpreter is only half started. Raises OSError, of which
    ProcessLookupError means that the process has ended."""
    if not interpreter.half_started():
        from _signal import pidfd_send_signal

        pidfd_send_signal(descriptor, signal)
        return
    import _launcher

    error = _launcher.send_signal(descriptor, signal)
    if error:
        raise OSError(error, posix.strerror(error))


def send(pid: int, start_time: int, signal: int) -> None:
    """Sends ``signal``. Raises NotRunning, whose message engines match, if the process has ended."""
    descriptor = open_process(pid, start_time)
    if descriptor < 0:
        raise NotRunning
    try:
        send_by(descriptor, signal)
        log.debug(f"signal {signal} sent to process {pid}")
    except ProcessLookupError:
        raise NotRunning from None
    finally:
        posix.close(descriptor)


def send_to(pid: int, number: int) -> None:
    """Sends a signal to the process that has ``pid`` now. Does nothing if that process has ended."""
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        send_by(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        posix.close(descriptor)
