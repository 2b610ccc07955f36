"""Processes by pid and start time, so that a reused pid is never taken for the container's (proc(5), pidfd_open(2))."""

import posix

from pyrunc import hot
from pyrunc.errors import NotRunning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

ESRCH: "Final" = 3
PF_EXITING: "Final" = 4


def in_user_namespace() -> bool:
    """Whether root, here, is not the host's: everything but all ids, mapped as they are, is a user namespace's map."""
    try:
        return read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
    except FileNotFoundError:  # a kernel without user namespaces
        return False


def read(path: str, size: int = 65536) -> bytes:
    """The file at ``path``, up to ``size`` bytes a read; OSError as open(2) and read(2) give it."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = []
        while part := posix.read(descriptor, size):
            parts.append(part)
        return b"".join(parts)
    finally:
        posix.close(descriptor)


def write(path: str, value: str) -> None:
    """One write(2) of ``value``, as files of /proc and of cgroups want it; OSError is the kernel's answer."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)


def _fields(pid: int) -> "list[bytes]":
    """The fields of /proc/PID/stat behind the name; none when there is no such process."""
    try:
        # The name in parentheses may itself hold parentheses and spaces; nothing behind the last one does.
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return []


def stat(pid: int) -> "tuple[str, int]":
    """(state letter, start time in clock ticks since boot) of /proc/PID/stat; ("", 0) when there is none."""
    fields = _fields(pid)
    return (fields[0].decode(), int(fields[19])) if fields else ("", 0)


def exiting(pid: int) -> bool:
    """Whether ``pid`` has begun to exit, or is gone. /proc/PID/cgroup then says "/" for every v1 hierarchy, and it
    does so before the state is "Z": only the flags tell (PF_EXITING, include/linux/sched.h)."""
    fields = _fields(pid)
    return not fields or fields[0] in (b"Z", b"X") or bool(int(fields[6]) & PF_EXITING)


def alive(pid: int, start_time: int) -> bool:
    """Whether the process that had ``pid`` from ``start_time`` on still runs (a zombie does not)."""
    if pid <= 0:
        return False
    letter, started = stat(pid)
    return started == start_time and letter not in ("", "Z", "X", "x")


def pidfd(pid: int, start_time: int) -> int:
    """A pidfd of that very process; -1 when it has gone. The caller closes it."""
    try:
        descriptor: int = posix.pidfd_open(pid)
    except OSError as error:
        if error.errno == ESRCH:
            return -1
        raise
    # Only after the open is the answer about the process that the descriptor holds.
    if alive(pid, start_time):
        return descriptor
    posix.close(descriptor)
    return -1


def ended(pid: int, start_time: int, timeout: "float | None" = None) -> bool:
    """Waits until that very process has ended; False when ``timeout`` seconds passed first."""
    descriptor = pidfd(pid, start_time)
    if descriptor < 0:
        return True
    try:
        return bool(ready([descriptor], timeout))
    finally:
        posix.close(descriptor)


def await_end(pid: int, seconds: float = 2.0) -> None:
    """Waits until ``pid``, as it is now, has ended (a zombie has), or ``seconds`` have passed."""
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        ready([descriptor], seconds)
    finally:
        posix.close(descriptor)


def ready(descriptors: "Sequence[int]", timeout: "float | None") -> "set[int]":
    """Those that can be read, or are at their end; none when ``timeout`` seconds passed first."""
    import select

    poll = select.poll()  # select(2) knows no descriptor beyond 1023
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(None if timeout is None else max(0.0, timeout) * 1000)}


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


def exit_status(status: int) -> int:
    """A shell's view of a wait(2) status."""
    return 128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)


def send_by(descriptor: int, signal: int) -> None:
    """pidfd_send_signal(2), also where the interpreter is half started. OSError, ProcessLookupError when it is gone."""
    if not hot.half_started():
        from _signal import pidfd_send_signal

        pidfd_send_signal(descriptor, signal)
        return
    import _launcher

    error = _launcher.send_signal(descriptor, signal)
    if error:
        raise OSError(error, posix.strerror(error))


def send(pid: int, start_time: int, signal: int) -> None:
    """Sends ``signal``; NotRunning, in the words that engines match when the process has gone."""
    descriptor = pidfd(pid, start_time)
    if descriptor < 0:
        raise NotRunning
    try:
        send_by(descriptor, signal)
    except ProcessLookupError:
        raise NotRunning from None
    finally:
        posix.close(descriptor)


def descendants(pid: int) -> "set[int]":
    """Children of ``pid``, theirs, and so on, zombies included (/proc/PID/task/TID/children, CONFIG_PROC_CHILDREN)."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children(waiting.pop()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def children(pid: int) -> "list[int]":
    """Zombies included."""
    found: list[int] = []
    try:
        for thread in posix.listdir(f"/proc/{pid}/task"):
            found += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    except OSError:
        pass  # it has ended meanwhile, and its children are somebody else's
    return found
