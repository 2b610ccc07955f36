"""Statistics and out-of-memory events of a running container."""

import posix
import select

from pyrunc.cgroup.host import UNIFIED
from pyrunc.cgroup.stats import stats as of_cgroups
from pyrunc.errors import NotRunning
from pyrunc.linux import files, pidfd, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.container.record import Record

COUNTERS = 16
"""Counters per interface in /proc/PID/net/dev."""


def stats(container: "Record") -> "dict[str, Any]":
    """Returns what ``events --stats`` prints under ``data``."""
    container.require("stats")
    try:
        data = of_cgroups(container.state.cgroups)
        data["network_interfaces"] = interfaces(container.state.pid)
    except OSError:
        if procfs.exiting(container.state.pid):
            raise NotRunning(f"container {container.id} is not running") from None
        raise
    data["intel_rdt"] = {}
    rdt = container.config.linux.intel_rdt
    if rdt is not None:
        from pyrunc.resources import resctrl

        data["intel_rdt"] = resctrl.stats(container.state.resctrl, container.id, rdt)
    return data


def interfaces(pid: int) -> "list[dict[str, Any]]":
    """Returns the counters of ``pid``'s network interfaces, except for loopback (proc(5), net/dev). The keys are
    runc's."""
    names = ("Bytes", "Packets", "Errors", "Dropped")
    found = []
    # As bytes, and split at \n only: the container chooses the names of its interfaces.
    for line in files.read(f"/proc/{pid}/net/dev").split(b"\n")[2:]:
        name, _, counters = line.strip(b" ").partition(b":")
        values = [int(word) for word in counters.split() if word.isdigit()]
        if name != b"lo" and len(values) >= COUNTERS:
            entry: dict[str, Any] = {"Name": name.decode("utf-8", "replace")}
            entry.update({f"Rx{key}": value for key, value in zip(names, values[:4], strict=True)})
            entry.update({f"Tx{key}": value for key, value in zip(names, values[8:12], strict=True)})
            found.append(entry)
    return found


class OutOfMemory:
    """Watches for out-of-memory events: registers a descriptor with a poll, and ``count`` returns the number of new
    events."""

    def __init__(self, dirs: "dict[str, str]") -> None:
        self.opened: list[int] = []
        self.eventfd = self.file = -1
        self.key = "oom_kill"
        self.seen = 0
        memory = next((d for name, d in dirs.items() if "memory" in name.split(",")), "")
        if memory:
            self._legacy(memory)
        elif UNIFIED in dirs:
            self.watch(f"{dirs[UNIFIED]}/memory.events", self.key)

    def _legacy(self, directory: str) -> None:
        """v1: opens an eventfd and registers it in cgroup.event_control (cgroup-v1/memory.rst)."""
        self.eventfd = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        control = posix.open(f"{directory}/memory.oom_control", posix.O_RDONLY | posix.O_CLOEXEC)
        self.opened = [self.eventfd, control]
        files.write(f"{directory}/cgroup.event_control", f"{self.eventfd} {control}")

    def watch(self, path: str, key: str) -> None:
        """v2: opens the file at ``path``. It has POLLPRI if it has changed since it was read (cgroup-v2.rst)."""
        try:
            self.file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:  # the cgroup has no memory controller, so no process is killed for its limit
            return
        self.opened.append(self.file)
        self.key = key
        self.seen = self._number()

    def _number(self) -> int:
        for line in posix.pread(self.file, 4096, 0).split(b"\n"):
            words = line.split()
            if len(words) == 2 and words[0] == self.key.encode() and words[1].isdigit():
                return int(words[1])
        return 0

    def register(self, poll: "select.poll") -> None:
        """Registers the descriptors with ``poll``. If one is ready, the caller calls ``count``."""
        if self.eventfd >= 0:
            poll.register(self.eventfd, select.POLLIN)
        if self.file >= 0:
            poll.register(self.file, select.POLLPRI)

    def count(self) -> int:
        """Returns the number of events since the last call."""
        if self.eventfd >= 0:
            try:
                return posix.eventfd_read(self.eventfd)
            except BlockingIOError:
                return 0
        if self.file < 0:
            return 0
        try:
            before, self.seen = self.seen, self._number()
        except OSError:  # ENODEV: the cgroup has been removed, with the container
            return 0
        return self.seen - before

    def close(self) -> None:
        for descriptor in self.opened:
            posix.close(descriptor)
        self.opened.clear()


def events(container: "Record", interval: float) -> "Iterator[dict[str, Any]]":
    """Yields events until the container ends. ``interval``: seconds between two statistics."""
    from time import monotonic

    init = pidfd.open_process(container.state.pid, container.state.start_time)
    if init < 0:
        raise NotRunning(f"container {container.id} is not running")
    notices = OutOfMemory(container.state.cgroups)
    poll = select.poll()
    poll.register(init, select.POLLIN)
    notices.register(poll)
    due = monotonic() + interval
    try:
        while True:
            ready = poll.poll(max(0.0, due - monotonic()) * 1000)
            for _ in range(notices.count()):
                yield {"type": "oom", "id": container.id}
            if any(descriptor == init for descriptor, _ in ready):
                return
            if monotonic() >= due:
                due = monotonic() + interval
                try:
                    found = stats(container)
                except NotRunning:
                    return
                yield {"type": "stats", "id": container.id, "data": found}
    finally:
        notices.close()
        posix.close(init)
