"""Statistics and out-of-memory notices of a running container."""

import posix

from pyrunc.cgroup.host import UNIFIED
from pyrunc.cgroup.stats import Files
from pyrunc.cgroup.stats import stats as of_cgroups
from pyrunc.container import process
from pyrunc.errors import NotRunning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.container.container import Container


def stats(container: "Container") -> "dict[str, Any]":
    """What ``events --stats`` has under ``data``."""
    if container.status == "stopped":
        raise NotRunning(f"container {container.id} is not running")
    data = of_cgroups(container._state.data["cgroups"])
    data["network_interfaces"] = interfaces(container.pid)
    rdt = container.config.linux.intel_rdt
    if rdt is not None:
        from pyrunc.container import intel_rdt

        data["intel_rdt"] = intel_rdt.stats(container.id, rdt)
    return data


def interfaces(pid: int) -> "list[dict[str, Any]]":
    """Counters of the network interfaces that ``pid`` sees, but for loopback (proc(5), net/dev)."""
    names = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
    found = []
    for line in process.read(f"/proc/{pid}/net/dev").decode().splitlines()[2:]:
        name, _, counters = line.partition(":")
        values = counters.split()
        if name.strip() != "lo":
            entry: dict[str, Any] = {"name": name.strip()}
            entry.update({key: int(value) for key, value in zip(names, values[:4], strict=True)})
            entry.update({key.replace("r", "t", 1): int(value) for key, value in zip(names, values[8:12], strict=True)})
            found.append(entry)
    return found


class OutOfMemory:
    """Out-of-memory notices: a descriptor to be polled, and ``count``, how many there were since it was last asked."""

    def __init__(self, dirs: "dict[str, str]") -> None:
        self.control = -1
        self.descriptor = -1
        self.file = ""
        memory = next((d for name, d in dirs.items() if "memory" in name.split(",")), "")
        if memory:
            self._legacy(memory)
        elif UNIFIED in dirs:
            self.file = dirs[UNIFIED]
        self.seen = self._killed()

    def _legacy(self, directory: str) -> None:
        """v1: an eventfd, told through cgroup.event_control (cgroup-v1/memory.rst)."""
        self.descriptor = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.control = posix.open(f"{directory}/memory.oom_control", posix.O_RDONLY | posix.O_CLOEXEC)
        with open(f"{directory}/cgroup.event_control", "w") as file:
            file.write(f"{self.descriptor} {self.control}")

    def _killed(self) -> int:
        return Files(self.file).table("memory.events").get("oom_kill", 0) if self.file else 0

    def count(self) -> int:
        """Notices since the last call."""
        if self.descriptor >= 0:
            try:
                return posix.eventfd_read(self.descriptor)
            except BlockingIOError:
                return 0
        before, self.seen = self.seen, self._killed()
        return self.seen - before

    def close(self) -> None:
        for descriptor in (self.descriptor, self.control):
            if descriptor >= 0:
                posix.close(descriptor)


def events(container: "Container", interval: float) -> "Iterator[dict[str, Any]]":
    """Ends with the container. v2 has no descriptor for its notices here: they are looked for four times a second."""
    import select
    from time import monotonic

    data = container._state.data
    init = process.pidfd(data["pid"], data["start_time"])
    if init < 0:
        raise NotRunning(f"container {container.id} is not running")
    notices = OutOfMemory(data["cgroups"])
    watched = [descriptor for descriptor in (init, notices.descriptor) if descriptor >= 0]
    due = monotonic() + interval
    try:
        while True:
            wait = max(0.0, due - monotonic())
            ready = select.select(watched, [], [], wait if notices.descriptor >= 0 else min(wait, 0.25))[0]
            for _ in range(notices.count()):
                yield {"type": "oom", "id": container.id}
            if init in ready:
                return
            if monotonic() >= due:
                due = monotonic() + interval
                yield {"type": "stats", "id": container.id, "data": stats(container)}
    finally:
        notices.close()
        posix.close(init)
