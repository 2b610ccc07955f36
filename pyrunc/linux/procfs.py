"""Processes by pid and start time, so that a reused pid is never taken for the container's (proc(5), pidfd_open(2))."""

import posix

from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PF_EXITING: "Final" = 4
TICK: "Final" = 1_000_000_000 // posix.sysconf("SC_CLK_TCK")
"""Nanoseconds of a clock tick."""
TIME_NAMESPACE: "Final" = "time:[4026531834]"
"""The initial one (PROC_TIME_INIT_INO, include/linux/proc_ns.h)."""
_offset: "list[int]" = []


def in_user_namespace() -> bool:
    """Whether root, here, is not the host's: everything but all ids, mapped as they are, is a user namespace's map."""
    try:
        return read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
    except FileNotFoundError:  # a kernel without user namespaces
        return False


def _fields(pid: int) -> "list[bytes]":
    """The fields of /proc/PID/stat after the name; none when there is no such process. Any other OSError is raised: a
    lack of descriptors does not mean that the container has ended."""
    try:
        # The name in parentheses may itself hold parentheses and spaces; nothing after the last one does.
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _boot_offset() -> int:
    """Clock ticks by which our time namespace has the boot earlier: start times are told in the reader's clock, and a
    container is the same one for every caller (time_namespaces(7), Linux 5.6)."""
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
    """(state letter, start time in clock ticks since boot, by the initial time namespace's clock) of /proc/PID/stat;
    ("", 0) when there is no such process."""
    fields = _fields(pid)
    return (fields[0].decode(), int(fields[19]) - _boot_offset()) if fields else ("", 0)


def hidden(pid: int) -> bool:
    """Whether ``pid`` runs, may be signalled by us, and is not shown in /proc: mounted with hidepid=2 it has none of a
    user's own processes that are not dumpable (proc(5)), which init is until its execve. One that exits is shown again.
    """
    try:
        posix.kill(pid, 0)
    except OSError:
        return False
    return not _fields(pid)


def started(pid: int) -> "int | None":
    """The start time of ``pid``, as it is now; 0 where it is hidden; None when there is none, or it has ended."""
    letter, time = stat(pid)
    return time if (letter not in ("Z", "X", "x") if letter else hidden(pid)) else None


def exiting(pid: int) -> bool:
    """Whether ``pid`` has begun to exit, or is gone. /proc/PID/cgroup then says "/" for every v1 hierarchy, and it
    does so before the state is "Z": only the flags tell (PF_EXITING, include/linux/sched.h)."""
    fields = _fields(pid)
    if not fields:
        return not hidden(pid)
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & PF_EXITING)


def alive(pid: int, start_time: int) -> bool:
    """Whether the process that had ``pid`` from ``start_time`` on still runs (a zombie does not)."""
    if pid <= 0:
        return False
    letter, started = stat(pid)
    if not letter:
        return hidden(pid)  # no other process of ours that is not shown gets this number, but by a rare chance
    return started == start_time and letter not in ("Z", "X", "x")


def descendants(*pids: int) -> "set[int]":
    """Children of ``pids``, theirs, and so on, zombies included (/proc/PID/task/TID/children, CONFIG_PROC_CHILDREN)."""
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
    """Zombies included."""
    found: list[int] = []
    try:
        for thread in posix.listdir(f"/proc/{pid}/task"):
            found += [int(word) for word in read(f"/proc/{pid}/task/{thread}/children").split() if word.isdigit()]
    except OSError:
        pass  # it has ended, and its children have another parent
    return found
