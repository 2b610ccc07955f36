"""What is set in a container's cgroups, before a library is loaded and after: limits, device rules, the freezer, what
the kernel does when a cgroup is empty. What differs is restored, or the container does not start."""

import posix

from pyrunc.cgroup import host
from pyrunc.cgroup.tree import tree
from pyrunc.errors import PyruncError
from pyrunc.linux.files import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOT_SETTINGS = (
    *("cgroup.procs", "cgroup.threads", "tasks", "cgroup.kill", "cgroup.event_control", "devices.allow"),
    *("devices.deny", "memory.force_empty", "memory.reclaim", "memory.peak", "memory.swap.peak", "blkio.reset_stats"),
    *("cpuacct.usage", "cgroup.pressure"),
)
"""Files that can be written and hold no setting (cgroup-v1/*.rst, cgroup-v2.rst)."""
NO_SETTINGS = (
    *(".max_usage_in_bytes", ".failcnt", ".pressure", ".stat", "_stat", ".stat.local", ".usage_in_bytes", "_recursive"),
    *(".io_serviced", ".io_service_bytes", ".slabinfo", ".pressure_level", ".memory_pressure", ".effective_cpus"),
    *(
        ".effective_mems",
        ".effective",
        ".usage_all",
        ".usage_sys",
        ".usage_user",
        ".current",
        ".events",
        ".events.local",
    ),
    *("cgroup.controllers", "cgroup.sane_behavior"),
)
"""What is read only, or is reset by being written: not opened, for each file costs 10 µs."""
READABLE_ONLY = ("/devices.list",)
"""Settings that are written by way of another file."""
KEYED = ("_device", "io.", "ifpriomap", "rdma.", "misc.", "numa")
"""Parts of names of files with a line for each device, interface or resource."""
MOST_OPEN = 256
"""Files kept open; the rest is opened again."""
MOST_FILES = 4096
"""Of a container with many cgroups of its own (exec): more than this is refused, not left out."""
ROUNDS = 6
LARGEST = 65536
"""Bytes; a settings file is one page at most, devices.list with many rules longer."""


class Limits:
    """``directories`` {hierarchy: directory}. ``devices`` sets the plan's device rules again: where everything is
    allowed by default, ``devices.list`` does not show the exceptions (cgroup-v1/devices.rst)."""

    def __init__(self, directories: "dict[str, str]", devices: "Callable[[], object]") -> None:
        self.directories = directories
        self.devices = devices
        self.freezer = ""
        self.before: dict[str, bytes] = {}
        self._open: dict[str, int] = {}
        for path in self._files():
            value = self._first_value(path)
            if value is not None:
                self.before[path] = value
            if len(self.before) > MOST_FILES:
                raise PyruncError(f"--preload-lib: the container has more than {MOST_FILES} settings in its cgroups")
        self.programs = self._programs()
        self.freezer = next((path for path in self.before if path.endswith(("freezer.state", "cgroup.freeze"))), "")

    def _files(self) -> "Iterator[str]":
        for directory in self.directories.values():
            for path in tree(directory):
                for entry in posix.listdir(path):
                    if entry not in NOT_SETTINGS and not entry.endswith(NO_SETTINGS):
                        yield f"{path}/{entry}"
        for hierarchy in host.discover().hierarchies:
            if hierarchy.version == 1:
                yield f"{hierarchy.mountpoint}/release_agent"
                yield f"{hierarchy.mountpoint}/notify_on_release"
            elif hierarchy.name in self.directories:
                # A controller that a cgroup above no longer hands on is gone, and its limits with it.
                above = self.directories[hierarchy.name].rpartition("/")[0]
                while above.startswith(hierarchy.mountpoint):
                    yield f"{above}/cgroup.subtree_control"
                    above = above.rpartition("/")[0]

    def _first_value(self, path: str) -> "bytes | None":
        """And keeps the file open: read again so, it takes a third of the time."""
        try:
            descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return None
        mode, value = posix.fstat(descriptor).st_mode, None
        if mode & 0o170000 == 0o100000 and (mode & 0o200 or path.endswith(READABLE_ONLY)):
            try:
                value = _read(path, descriptor)
            except OSError:
                pass  # to be written only
        if value is None or len(self._open) >= MOST_OPEN:
            posix.close(descriptor)
        else:
            self._open[path] = descriptor
        return value

    def close(self) -> None:
        """Closes the files."""
        for descriptor in self._open.values():
            posix.close(descriptor)
        self._open.clear()

    def _value(self, path: str) -> "bytes | None":
        """None when there is no such setting (any more)."""
        if path not in self._open:
            return _value(path)
        try:
            return _read(path, self._open[path])
        except OSError:  # ENODEV: the cgroup, or its controller, is gone; there may be another of the name
            return _value(path)

    def _programs(self) -> "tuple[int, ...]":
        """Device programs of a v2 cgroup."""
        if [*self.directories] != [host.UNIFIED]:
            return ()
        from pyrunc.cgroup.v2.devices import attached

        return attached(self.directories[host.UNIFIED])

    def thaw(self) -> None:
        """A process that freezes itself neither answers nor dies."""
        if self.freezer and self._value(self.freezer) != self.before[self.freezer]:
            _set(self.freezer, b"", self.before[self.freezer])

    def restore(self) -> "list[str]":
        """Sets what differs as it was; the names of it. PyruncError for what does not become so again."""
        changed = [path for path, value in self.before.items() if self._value(path) != value]
        undone = sorted({path.rpartition("/")[2] for path in changed})
        left = sorted(changed, key=lambda path: (not path.endswith("subtree_control"), path.count("/")))
        for _ in range(ROUNDS):
            # Limits that must fit each other (memory, and memory with swap) want an order that depends on both, and
            # setting one may change another.
            for path in left:
                _set(path, self._value(path) or b"", self.before[path])
            left = [path for path in (self.before if changed else ()) if self._value(path) != self.before[path]]
            if not left:
                break
        if left:
            raise PyruncError(f"loading changed what cannot be undone: {'; '.join(map(self._difference, left))}")
        replaced = self._programs() != self.programs
        if replaced or undone or self._allows_by_default():
            self.devices()
        if replaced:
            if not self._programs():
                raise PyruncError("loading changed what cannot be undone: the device rules are gone")
            undone.append("device rules")
        return undone

    def _difference(self, path: str) -> str:
        return f"{path.rpartition('/')[2]} is {_shown(self._value(path))}, was {_shown(self.before[path])}"

    def _allows_by_default(self) -> bool:
        return any(v.startswith(b"a ") for path, v in self.before.items() if path.endswith("/devices.list"))


def _value(path: str) -> "bytes | None":
    """None when there is no such setting (any more)."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(path, descriptor)
    except OSError:
        return None
    finally:
        posix.close(descriptor)


def _read(path: str, descriptor: int) -> bytes:
    value: bytes = posix.pread(descriptor, LARGEST, 0)
    # The others of its lines are counters.
    return value.partition(b"\n")[0] if path.endswith("/memory.oom_control") else value


def _set(path: str, now: bytes, wanted: bytes) -> None:
    """As far as the kernel takes it; the caller looks."""
    directory, _, name = path.rpartition("/")
    for file, value in _writes(name, now.decode().strip(), wanted.decode().strip()):
        try:
            write(f"{directory}/{file}", value)
        except OSError:
            continue


def _writes(name: str, now: str, wanted: str) -> "list[tuple[str, str]]":
    """What is to be written to which file, so that ``name`` reads ``wanted`` again."""
    if name == "devices.list":
        if wanted == "a *:* rwm":
            return [("devices.allow", "a")]
        return [("devices.deny", "a"), *(("devices.allow", line) for line in wanted.splitlines())]
    if name == "cgroup.subtree_control":
        on, off = set(wanted.split()) - set(now.split()), set(now.split()) - set(wanted.split())
        return [(name, f"+{controller}") for controller in sorted(on)] + [(name, f"-{c}") for c in sorted(off)]
    if name == "memory.oom_control":
        return [(name, wanted.split()[-1])]
    if not any(part in name for part in KEYED):
        return [(name, wanted or "\n")]
    lines = wanted.splitlines()
    keys = {line.split()[0] for line in lines if line.split()}
    gone = [line.split() for line in now.splitlines() if line.split() and line.split()[0] not in keys]
    return [*((name, f"{key} {_none(name, rest)}") for key, *rest in gone), *((name, line) for line in lines)]


def _none(name: str, values: "list[str]") -> str:
    """No limit for one device (io.max and the like: ``rbps=1 wbps=max``; blkio.throttle.*: a number)."""
    if any("=" in value for value in values):
        return " ".join(f"{value.partition('=')[0]}=max" for value in values)
    return "default" if name.endswith("weight") else "0"


def _shown(value: "bytes | None") -> str:
    return "gone" if value is None else value.decode("utf-8", "replace").strip()
