"""What loading a library left behind in a process: read before and after, put right where it can be.

Read from the host through /proc, never from what the process says of itself.
"""

import posix
import resource

from pyrunc.container.process import read
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
FIXED = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapPrm", "CapBnd")
"""Lines of /proc/PID/status that a process cannot undo: what is lost is lost."""
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")
SIGKILL = 9


class Baseline:
    """A process as it was before the library was loaded."""

    def __init__(self, pid: int) -> None:
        self.fixed = _status(pid)
        self.namespaces = _links(pid)
        self.limits = {name: resource.prlimit(pid, getattr(resource, name)) for name in LIMITS}
        self.nice = posix.getpriority(posix.PRIO_PROCESS, pid)
        self.scheduler = (posix.sched_getscheduler(pid), posix.sched_getparam(pid).sched_priority)
        self.affinity = posix.sched_getaffinity(pid)
        self.oom = read(f"/proc/{pid}/oom_score_adj")
        self.children = children(pid)

    def restore(self, pid: int, names: str) -> "list[str]":
        """Brings ``pid`` back to this; returns what had to be. PyruncError for what can't be brought back."""
        lost = [f"{key} is {now}, was {self.fixed[key]}" for key, now in _status(pid).items() if now != self.fixed[key]]
        links = _links(pid)
        lost += [f"namespace {key} changed" for key in links if links[key] != self.namespaces[key]]
        if lost:
            raise PyruncError(f"--preload-lib {names} changed what cannot be undone: {'; '.join(lost)}")
        undone = [f"child {child} killed" for child in self._kill_children(pid)]
        undone += self._restore_limits(pid)
        if posix.getpriority(posix.PRIO_PROCESS, pid) != self.nice:
            posix.setpriority(posix.PRIO_PROCESS, pid, self.nice)
            undone.append("nice")
        policy, priority = self.scheduler
        if posix.sched_getscheduler(pid) != policy:
            posix.sched_setscheduler(pid, policy, posix.sched_param(priority))
            undone.append("scheduler")
        if posix.sched_getaffinity(pid) != self.affinity:
            posix.sched_setaffinity(pid, self.affinity)
            undone.append("affinity")
        if read(f"/proc/{pid}/oom_score_adj") != self.oom:
            _write(f"/proc/{pid}/oom_score_adj", self.oom)
            undone.append("oom_score_adj")
        return undone

    def _restore_limits(self, pid: int) -> "list[str]":
        undone = []
        for name, limits in self.limits.items():
            number = getattr(resource, name)
            if resource.prlimit(pid, number) == limits:
                continue
            try:
                resource.prlimit(pid, number, limits)
            except PermissionError:
                # A hard limit once lowered is raised by CAP_SYS_RESOURCE only (getrlimit(2)).
                raise PyruncError(f"--preload-lib: {name} was lowered and cannot be raised again") from None
            undone.append(name)
        return undone

    def _kill_children(self, pid: int) -> "list[int]":
        """Whatever the library forked: its own children, and those that it handed to us as their reaper."""
        killed = []
        found = children(pid) - self.children
        while found:
            for child in found:
                try:
                    posix.kill(child, SIGKILL)
                    killed.append(child)
                except ProcessLookupError:
                    continue
            for child in found:
                try:
                    posix.waitpid(child, 0)
                except ChildProcessError:
                    continue
            found = {child for child in children(pid) - self.children if _runs(child)} - set(killed)
        return killed


def children(pid: int) -> "set[int]":
    """Descendants of ``pid``, and of ours those that are not ``pid`` (orphans that came to us as a subreaper)."""
    found: set[int] = set()
    waiting = [pid, posix.getpid()]
    while waiting:
        for child in _direct(waiting.pop()):
            if child not in found and child != pid:
                found.add(child)
                waiting.append(child)
    return found


def _direct(pid: int) -> "list[int]":
    found: list[int] = []
    try:
        for thread in posix.listdir(f"/proc/{pid}/task"):
            found += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    except OSError:
        pass
    return found


def _runs(pid: int) -> bool:
    from pyrunc.container.process import stat

    return stat(pid)[0] not in ("", "Z", "X")


def _status(pid: int) -> "dict[str, str]":
    rows = (line.partition(":") for line in read(f"/proc/{pid}/status").decode().splitlines())
    return {key: value.strip() for key, _, value in rows if key in FIXED}


def _links(pid: int) -> "dict[str, str]":
    links = {name: posix.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}
    links["root"] = posix.readlink(f"/proc/{pid}/root")
    return links


def _write(path: str, data: bytes) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, data)
    finally:
        posix.close(descriptor)
