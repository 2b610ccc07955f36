"""Compares a process before and after a library is loaded, and restores what can be restored.

The state is read from the host through /proc, never from what the process reports. Changes that only the process itself
can undo are only listed here; the step ``settle`` undoes them later.
"""

import posix
import resource
from collections import Counter

from pyrunc.errors import PyruncError
from pyrunc.hostile import leftovers
from pyrunc.hostile.surroundings import mounts
from pyrunc.linux.files import read, write
from pyrunc.linux.procfs import descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
FIXED = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapPrm", "CapBnd")
"""Lines of /proc/PID/status that a process cannot undo."""
SETTLED = {
    "Umask": "umask",
    "SigBlk": "signal mask",
    "SigIgn": "ignored signals",
    "SigCgt": "signal handlers",
    "CapInh": "inheritable capabilities",
    "CapEff": "effective capabilities",
    "CapAmb": "ambient capabilities",
}
"""Lines of /proc/PID/status that the step ``settle`` restores, and their names in messages."""
KEPT = {
    "loginuid": "login uid",
    "sessionid": "audit session",
    "attr/current": "security label",
    "attr/apparmor/current": "AppArmor profile",
    "attr/smack/current": "Smack label",
    "cpu_resctrl_groups": "resctrl group",
    "projid_map": "project ids",
}
"""Files of /proc/PID whose change persists across execve and cannot be undone."""
WRITABLE = {
    "oom_score_adj": "oom_score_adj",
    "coredump_filter": "coredump filter",
    "autogroup": "autogroup nice",
    "make-it-fail": "fault injection",
}
"""Files of /proc/PID that are restored by writing them."""
SEEN = frozenset((*FIXED, *SETTLED, "TracerPid"))
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")


class Baseline:
    """The state of a process before the library is loaded."""

    def __init__(self, pid: int, fresh: "set[str]") -> None:
        """``fresh``: namespaces (names in /proc/PID/ns) that the process leaves after loading."""
        self.fresh = fresh
        self.status = _status(pid)
        self.namespaces = self._links(pid)
        self.limits = {name: resource.prlimit(pid, getattr(resource, name)) for name in LIMITS}
        self.nice = posix.getpriority(posix.PRIO_PROCESS, pid)
        self.scheduler = (posix.sched_getscheduler(pid), posix.sched_getparam(pid).sched_priority)
        self.affinity = posix.sched_getaffinity(pid)
        self.files = {name: _optional(f"/proc/{pid}/{name}") for name in (*KEPT, *WRITABLE)}
        self.directory = posix.readlink(f"/proc/{pid}/cwd")
        self.mounts = read(f"/proc/{pid}/mountinfo")
        self.others = descendants(posix.getpid())  # ``pid`` is a child of this process

    def restore(self, pid: int) -> "list[str]":
        """Restores the state of ``pid``; returns what was changed. Raises PyruncError if something cannot be
        restored."""
        undone = [f"child {child} killed" for child in self.kill_children(pid)]
        status = _status(pid)
        self._refuse_lost(pid, status)
        undone += self._restore_limits(pid)
        undone += self._restore_scheduling(pid)
        undone += self._restore_files(pid)
        undone += self._compare_mounts(pid)
        undone += [word for key, word in SETTLED.items() if status.get(key) != self.status.get(key)]
        return undone + (["working directory"] if posix.readlink(f"/proc/{pid}/cwd") != self.directory else [])

    def _refuse_lost(self, pid: int, status: "dict[str, str]") -> None:
        lost = [
            f"{key} is {status.get(key)}, was {self.status[key]}"
            for key in FIXED
            if key in self.status and status.get(key) != self.status[key]
        ]
        links = self._links(pid)
        lost += [f"namespace {key} changed" for key in links if links[key] != self.namespaces[key]]
        for name, words in KEPT.items():
            was = self.files[name]
            if was is not None and (now := _optional(f"/proc/{pid}/{name}")) != was:
                lost.append(f"{words} is {_shown(now)}, was {_shown(was)}")
        if status.get("TracerPid") != "0":
            lost.append(f"process {status.get('TracerPid')} traces it")
        if lost:
            raise PyruncError(f"loading changed what cannot be undone: {'; '.join(lost)}")

    def _links(self, pid: int) -> "dict[str, str]":
        """Returns the namespaces that the process keeps, and its root directory."""
        links = {name: namespace(pid, name) for name in NAMESPACES if name not in self.fresh}
        links["root"] = posix.readlink(f"/proc/{pid}/root")
        return links

    def _restore_files(self, pid: int) -> "list[str]":
        undone = []
        for name, words in WRITABLE.items():
            path, was = f"/proc/{pid}/{name}", self.files[name]
            if was is None:
                continue
            if _optional(path) != was:
                undone.append(_restore(words, write, path, _written(name, was)))
            elif name == "oom_score_adj":
                # The lowest value allowed without privileges cannot be read. A write by a process that may lower the
                # value sets it (Linux, fs/proc/base.c: oom_score_adj_min).
                write(path, was.decode())
        return undone

    def _compare_mounts(self, pid: int) -> "list[str]":
        now = read(f"/proc/{pid}/mountinfo")
        if now == self.mounts:
            return []
        new, old = Counter(mounts(now)), Counter(mounts(self.mounts))
        different = [f"mount {mount}" for mount in new - old] + [f"mount {mount} gone" for mount in old - new]
        if different and "mnt" not in self.fresh:
            raise PyruncError(f"loading changed what cannot be undone: {'; '.join(different)}")
        return different

    def kill_children(self, pid: int) -> "list[int]":
        """Kills what the library forked: descendants of ``pid``, and orphans that this process got as their
        subreaper."""
        return leftovers.kill(lambda: descendants(posix.getpid()) - self.others - {pid})

    def _restore_limits(self, pid: int) -> "list[str]":
        undone = []
        for name, limits in self.limits.items():
            number = getattr(resource, name)
            if resource.prlimit(pid, number) != limits:
                # Only CAP_SYS_RESOURCE can raise a hard limit that was lowered (getrlimit(2)).
                undone.append(_restore(name, resource.prlimit, pid, number, limits))
        return undone

    def _restore_scheduling(self, pid: int) -> "list[str]":
        undone = []
        policy, priority = self.scheduler
        if posix.sched_getscheduler(pid) != policy:
            parameter = posix.sched_param(priority)
            undone.append(_restore("scheduler", posix.sched_setscheduler, pid, policy, parameter))
        if posix.getpriority(posix.PRIO_PROCESS, pid) != self.nice:
            undone.append(_restore("nice", posix.setpriority, posix.PRIO_PROCESS, pid, self.nice))
        if posix.sched_getaffinity(pid) != self.affinity:
            undone.append(_restore("affinity", posix.sched_setaffinity, pid, self.affinity))
        return undone


def _restore(name: str, function: "Callable[..., object]", *values: object) -> str:
    """Calls ``function``; returns ``name``. Raises PyruncError if this process lacks the permission."""
    try:
        function(*values)
    except PermissionError:
        raise PyruncError(f"{name} was changed by loading, and we may not restore it") from None
    return name


def _status(pid: int) -> "dict[str, str]":
    found = {}
    for line in read(f"/proc/{pid}/status").decode().split("\n"):
        key, _, value = line.partition(":")
        if key in SEEN:
            found[key] = without_libc(value) if key.startswith("Sig") else value.strip()
    return found


def without_libc(mask: str) -> str:
    """Returns a signal mask without 32 and 33, which the C library uses for its threads (signal(7), nptl(7))."""
    return f"{int(mask, 16) & ~(3 << 31):016x}"


def namespace(pid: int, name: str) -> str:
    """Returns a link of /proc/PID/ns. pid_for_children does not exist until its first process is created (Linux,
    kernel/pid_namespace.c)."""
    try:
        return posix.readlink(f"/proc/{pid}/ns/{name}")
    except FileNotFoundError:
        return f"{name}:[without a process]"


def _written(name: str, value: bytes) -> str:
    """Returns the text to write so that file ``name`` of /proc/PID reads ``value``."""
    text = value.decode().strip()
    if name == "autogroup":
        return text.rpartition(" ")[2]  # "/autogroup-7 nice 0"
    return f"0x{text}" if name == "coredump_filter" else text


def _shown(value: "bytes | None") -> str:
    return "gone" if value is None else value.rstrip(b"\n\0").decode("utf-8", "replace")


def _optional(path: str) -> "bytes | None":
    """Returns the content of a file, None if this kernel does not have or show it."""
    try:
        return read(path)
    except OSError:
        return None
