"""What loading a library left behind in a process: read before and after, put right where it can be.

Read from the host through /proc, never from what the process says of itself. What can be put right by the process alone
is named here, and put right by the step ``settle`` behind it.
"""

import posix
import resource

from pyrunc.container.process import descendants, read, write
from pyrunc.errors import PyruncError
from pyrunc.hostile import strays
from pyrunc.plan.preload import FIRST_SLOT
from pyrunc.plan.slots import DIRECTORY, INHERITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
FIXED = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapPrm", "CapBnd")
"""Lines of /proc/PID/status that a process cannot undo: what is lost is lost."""
SETTLED = {
    "Umask": "umask",
    "SigBlk": "signal mask",
    "SigIgn": "ignored signals",
    "SigCgt": "signal handlers",
    "CapInh": "inheritable capabilities",
    "CapEff": "effective capabilities",
    "CapAmb": "ambient capabilities",
    "THP_enabled": "huge pages",
}
"""Lines that the step ``settle`` puts right, in words."""
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")


class Baseline:
    """A process as it was before the library was loaded."""

    def __init__(self, pid: int, preserve_fds: int) -> None:
        self.status = _status(pid)
        self.namespaces = _links(pid)
        self.limits = {name: resource.prlimit(pid, getattr(resource, name)) for name in LIMITS}
        self.nice = posix.getpriority(posix.PRIO_PROCESS, pid)
        self.scheduler = (posix.sched_getscheduler(pid), posix.sched_getparam(pid).sched_priority)
        self.affinity = posix.sched_getaffinity(pid)
        self.oom = read(f"/proc/{pid}/oom_score_adj")
        self.personality = _optional(f"/proc/{pid}/personality")
        self.directory = posix.readlink(f"/proc/{pid}/cwd")
        self.ours = FIRST_SLOT + preserve_fds + INHERITED
        self.descriptors = _descriptors(pid)
        self.others = descendants(posix.getpid()) | descendants(pid) | {pid}

    def restore(self, pid: int) -> "list[str]":
        """Brings ``pid`` back to this; returns what had to be. PyruncError for what can't be brought back."""
        status = _status(pid)
        self._refuse_lost(pid, status)
        undone = [f"child {child} killed" for child in self.kill_children(pid)]
        undone += self._restore_limits(pid)
        undone += self._restore_scheduling(pid)
        if read(f"/proc/{pid}/oom_score_adj") != self.oom:
            undone.append(_put_back("oom_score_adj", write, f"/proc/{pid}/oom_score_adj", self.oom.decode()))
        undone += [word for key, word in SETTLED.items() if status.get(key) != self.status.get(key)]
        undone += ["working directory"] if posix.readlink(f"/proc/{pid}/cwd") != self.directory else []
        undone += ["personality"] if _optional(f"/proc/{pid}/personality") != self.personality else []
        foreign = len(_descriptors(pid).keys() - self.descriptors.keys() - {self.ours - INHERITED + DIRECTORY})
        return [*undone, f"{foreign} descriptors closed"] if foreign else undone

    def _refuse_lost(self, pid: int, status: "dict[str, str]") -> None:
        lost = [
            f"{key} is {status.get(key)}, was {self.status[key]}"
            for key in FIXED
            if key in self.status and status.get(key) != self.status[key]
        ]
        links, descriptors = _links(pid), _descriptors(pid)
        lost += [f"namespace {key} changed" for key in links if links[key] != self.namespaces[key]]
        lost += [
            f"descriptor {number} is {descriptors.get(number, 'closed')}, was {target}"
            for number, target in self.descriptors.items()
            if number < self.ours and descriptors.get(number) != target
        ]
        if lost:
            raise PyruncError(f"loading changed what cannot be undone: {'; '.join(lost)}")

    def kill_children(self, pid: int) -> "list[int]":
        """Whatever the library forked: its own children, and those that it handed to us as their reaper."""
        return strays.kill(lambda: (descendants(pid) | descendants(posix.getpid())) - self.others - {pid})

    def _restore_limits(self, pid: int) -> "list[str]":
        undone = []
        for name, limits in self.limits.items():
            number = getattr(resource, name)
            if resource.prlimit(pid, number) != limits:
                # A hard limit once lowered is raised by CAP_SYS_RESOURCE only (getrlimit(2)).
                undone.append(_put_back(name, resource.prlimit, pid, number, limits))
        return undone

    def _restore_scheduling(self, pid: int) -> "list[str]":
        undone = []
        policy, priority = self.scheduler
        if posix.sched_getscheduler(pid) != policy:
            parameter = posix.sched_param(priority)
            undone.append(_put_back("scheduler", posix.sched_setscheduler, pid, policy, parameter))
        if posix.getpriority(posix.PRIO_PROCESS, pid) != self.nice:
            undone.append(_put_back("nice", posix.setpriority, posix.PRIO_PROCESS, pid, self.nice))
        if posix.sched_getaffinity(pid) != self.affinity:
            undone.append(_put_back("affinity", posix.sched_setaffinity, pid, self.affinity))
        return undone


def _put_back(name: str, function: "Callable[..., object]", *values: object) -> str:
    """Calls ``function``; returns ``name``. PyruncError when we may not."""
    try:
        function(*values)
    except PermissionError:
        raise PyruncError(f"{name} was changed by loading, and we may not put it back") from None
    return name


def _status(pid: int) -> "dict[str, str]":
    rows = (line.partition(":") for line in read(f"/proc/{pid}/status").decode().splitlines())
    found = {key: value.strip() for key, _, value in rows if key in FIXED or key in SETTLED}
    return {key: without_libc(value) if key.startswith("Sig") else value for key, value in found.items()}


def without_libc(mask: str) -> str:
    """A signal mask without 32 and 33, which the C library takes for its threads (signal(7), nptl(7))."""
    return f"{int(mask, 16) & ~(3 << 31):016x}"


def _links(pid: int) -> "dict[str, str]":
    links = {name: posix.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}
    links["root"] = posix.readlink(f"/proc/{pid}/root")
    return links


def _descriptors(pid: int) -> "dict[int, str]":
    found = {}
    for name in posix.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = posix.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def _optional(path: str) -> bytes:
    """What a file holds that not every kernel has, or shows."""
    try:
        return read(path)
    except OSError:
        return b""
