"""Identifies processes by pid and start time, so that a reused pid is never taken for the container's (proc(5))."""

import posix

from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PF_EXITING: "Final" = 4
TICK: "Final" = 1_000_000_000 // posix.sysconf("SC_CLK_TCK")
"""Nanoseconds per clock tick."""
TIME_NAMESPACE: "Final" = "time:[4026531834]"
"""The initial time namespace (PROC_TIME_INIT_INO, include/linux/proc_ns.h)."""
_offset: "list[int]" = []


def in_user_namespace() -> bool:
    """Whether this process is in a user namespace other than the initial one. Only the initial one maps all ids to
    themselves."""
    try:
        return read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
    except FileNotFoundError:  # a kernel without user namespaces
        return False


def _fields(pid: int) -> "list[bytes]":
    """Returns the fields of /proc/PID/stat after the name, or none if the process does not exist. Any other OSError is
    raised: a lack of descriptors does not mean that the container has ended."""
    try:
        # The name in parentheses may contain parentheses and spaces, so the last parenthesis is the end of the name.
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _boot_offset() -> int:
    """Returns the boot-time offset of this process's time namespace in clock ticks. The kernel reports start times by
    the reader's clock; without the offset the same container would differ for each caller (time_namespaces(7), 5.6)."""
    if not _offset:
        _offset.append(0)
        try:
            if posix.readlink("/proc/self/ns/time") != TIME_NAMESPACE:
                for line in read("/proc/self/timens_offsets").split(b"\n"):
                    words = line.split()
                    if words[:1] == [b"boottime"]:
                        _offset[0] = (int(words[1]) * 1_000_000_000 + int(words[2])) // TICK
        except FileNotFoundError:
            pass  # a kernel without time namespaces
    return _offset[0]


def stat(pid: int) -> "tuple[str, int]":
    """Returns (state letter, start time) from /proc/PID/stat, or ("", 0) if the process does not exist. The start time
    is in clock ticks since boot, by the clock of the initial time namespace."""
    fields = _fields(pid)
    return (fields[0].decode(), int(fields[19]) - _boot_offset()) if fields else ("", 0)


def hidden(pid: int) -> bool:
    """Whether ``pid`` runs and can be signalled by this process, but is not shown in /proc.

    A /proc mounted with hidepid=2 hides a user's own processes that are not dumpable (proc(5)). init is not dumpable
    until its execve. A process that exits is shown again.
    """
    try:
        posix.kill(pid, 0)
    except OSError:
        return False
    return not _fields(pid)


def started(pid: int) -> "int | None":
    """Returns the start time of the process that has ``pid`` now, 0 if /proc hides it, None if none runs."""
    letter, time = stat(pid)
    return time if (letter not in ("Z", "X", "x") if letter else hidden(pid)) else None


def exiting(pid: int) -> bool:
    """Whether ``pid`` has begun to exit or no longer exists. From then on /proc/PID/cgroup shows "/" for every v1
    hierarchy, before the state is "Z": only the flags show it (PF_EXITING, include/linux/sched.h)."""
    fields = _fields(pid)
    if not fields:
        return not hidden(pid)
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & PF_EXITING)


def alive(pid: int, start_time: int) -> bool:
    """Whether the process that got ``pid`` at ``start_time`` still runs. A zombie does not."""
    if pid <= 0:
        return False
    letter, started = stat(pid)
    if not letter:
        return hidden(pid)  # it is very unlikely that another hidden process of this user has the same pid
    return started == start_time and letter not in ("Z", "X", "x")


def descendants(*pids: int) -> "set[int]":
    """Returns all descendants of ``pids``, zombies included (/proc/PID/task/TID/children, CONFIG_PROC_CHILDREN)."""
    found: set[int] = set()
    waiting = list(pids)
    seen = set(waiting)
    while waiting:
        new = set(children(waiting.pop()))
        found |= new
        waiting += new - seen
        seen |= new
    return found


def children(pid: int) -> "list[int]":
    """Returns the children of ``pid``, zombies included."""
    found: list[int] = []
    try:
        for thread in posix.listdir(f"/proc/{pid}/task"):
            found += [int(word) for word in read(f"/proc/{pid}/task/{thread}/children").split() if word.isdigit()]
    except OSError:
        pass  # the process has ended, and its children have a new parent
    return found
