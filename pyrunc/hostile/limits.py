"""What is set in a container's cgroups, before a library is loaded and after: limits, device rules, the freezer, what
the kernel does when a cgroup is empty; and the limits of cgroups above. What differs is restored, or the container does
not start."""

import posix

from pyrunc.cgroup.host import UNIFIED
from pyrunc.cgroup.tree import visit
from pyrunc.errors import PyruncError, SpecError
from pyrunc.hostile.settings import ABOVE_V1, ABOVE_V2, WRITTEN_ELSEWHERE, is_setting, order, value_of, writes
from pyrunc.linux.files import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.host import Hierarchy, Host

MOST_OPEN = 256
"""Files kept open; the rest is opened again."""
MOST_FILES = 4096
"""Of a container with many cgroups of its own (exec): more than this is refused, not left out."""
JOINING = ("cgroup.procs", "cgroup.threads", "tasks")
"""Who may write to them decides who is in the cgroup."""
ROUNDS = 6
PATIENCE = 1.0
"""Seconds that the kernel may take for the end of a cgroup."""
PAGE, LARGEST = 4096, 65536
"""Bytes that are read at first, and at most; most settings are a word, devices.list with many rules is longer."""


class Limits:
    """``directories`` {hierarchy: directory}; ``host`` has the hierarchies. ``made``: cgroups that have just been made,
    to which nothing is attached."""

    def __init__(self, directories: "dict[str, str]", host: "Host", made: "Container[str]" = ()) -> None:
        self.directories = directories
        self.made = made
        self.before: dict[str, bytes] = {}
        self.below: set[str] = set()
        """Cgroups below the container's own."""
        self._open: dict[str, int] = {}
        for directory in directories.values():
            self._look_below(directory)
        for hierarchy in host.hierarchies:
            self._look_above(hierarchy)
        unified = directories.get(UNIFIED, "")
        # On a pure v2 host they have the device rules.
        self.programs = set() if unified in made and len(directories) > 1 else self._programs()
        self.owners = {directory: _owner(directory) for directory in directories.values()}
        self.freezer = next((path for path in self.before if path.endswith(("freezer.state", "cgroup.freeze"))), "")

    def _look_below(self, top: str) -> None:
        def look(here: int, names: "list[str]") -> None:
            path = "/".join([top, *names])
            if names:
                self.below.add(path)
            self._look(here, path, filter(is_setting, posix.listdir(here)))

        visit(top, look)

    def _look_above(self, hierarchy: "Hierarchy") -> None:
        top = hierarchy.mountpoint
        if hierarchy.version == 1:
            self._look_at(top, ("release_agent",))
        if hierarchy.name not in self.directories:
            return
        names: tuple[str, ...] = ABOVE_V2
        if hierarchy.version == 1:
            names = tuple(name for controller in hierarchy.controllers for name in ABOVE_V1.get(controller, ()))
        above = self.directories[hierarchy.name].rpartition("/")[0]
        while names and above.startswith(f"{top}/"):
            self._look_at(above, names)
            above = above.rpartition("/")[0]
        if hierarchy.version == 2:
            self._look_at(top, ("cgroup.subtree_control",))

    def _look_at(self, directory: str, names: "Iterable[str]") -> None:
        try:
            here = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except OSError:
            return
        try:
            self._look(here, directory, names)
        finally:
            posix.close(here)

    def _look(self, here: int, path: str, names: "Iterable[str]") -> None:
        """The values of files in directory ``here``. They stay open: read again so, they take a fifth of the time."""
        for name in names:
            # The kernel refuses to open a file so that is not both read and written (kernfs): no stat(2) is needed.
            way = posix.O_RDONLY if name in WRITTEN_ELSEWHERE else posix.O_RDWR
            try:
                descriptor = posix.open(name, way | posix.O_CLOEXEC, dir_fd=here)
            except OSError:
                continue
            try:
                self.before[f"{path}/{name}"] = _read(name, descriptor)
            except OSError:
                posix.close(descriptor)
                continue
            if len(self._open) < MOST_OPEN:
                self._open[f"{path}/{name}"] = descriptor
            else:
                posix.close(descriptor)
        if len(self.before) > MOST_FILES:
            raise PyruncError(f"--preload-lib: the container has more than {MOST_FILES} settings in its cgroups")

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
            return _read(path.rpartition("/")[2], self._open[path])
        except OSError:  # ENODEV: the cgroup, or its controller, is gone; there may be another of the name
            return _value(path)

    def _programs(self) -> "set[tuple[int, int]]":
        """BPF programs of the v2 cgroup."""
        if UNIFIED not in self.directories:
            return set()
        from pyrunc.hostile.attached import programs

        return programs(self.directories[UNIFIED])

    def thaw(self) -> None:
        """A process that freezes itself neither answers nor dies."""
        if self.freezer and self._value(self.freezer) != self.before[self.freezer]:
            _set(self.freezer, b"", self.before[self.freezer])

    def restore(self, devices: "Callable[[], object]") -> "list[str]":
        """Sets what differs as it was; the names of it. ``devices`` sets the device rules again: where everything is
        allowed by default, ``devices.list`` does not show the exceptions (cgroup-v1/devices.rst). PyruncError for what
        does not become so again."""
        changed = [path for path, value in self.before.items() if self._value(path) != value]
        undone = sorted({path.rpartition("/")[2] for path in changed})
        left = sorted(changed, key=order)
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
        undone += self._restore_programs(devices)
        if undone or self._allows_by_default():
            devices()
        return undone + self._restore_owners()

    def _restore_programs(self, devices: "Callable[[], object]") -> "list[str]":
        now = self._programs()
        if now == self.programs:
            return []
        from pyrunc.hostile.attached import DEVICE, detach

        detach(self.directories[UNIFIED], now - self.programs)
        rules = {program for program in self.programs if program[0] == DEVICE}
        if not rules <= now:
            devices()  # attaches another one
        now = self._programs()
        others = [{program for program in each if program[0] != DEVICE} for each in (now, self.programs)]
        if others[0] != others[1] or len(now) != len(self.programs):
            raise PyruncError("loading changed what cannot be undone: BPF programs of the cgroup")
        return ["BPF programs of the cgroup"]

    def _restore_owners(self) -> "list[str]":
        """Of cgroups that root has just made; others may have been handed to a user, with some of their files."""
        undone = set()
        for directory, before in self.owners.items():
            if _owner(directory) != before:
                undone |= {"owner of the cgroup"}
                _own(directory, before)
            if before[:2] != (0, 0) or directory not in self.made:
                continue
            names = [path for path in self._open if path.rpartition("/")[0] == directory]
            for path in [*names, *(f"{directory}/{name}" for name in JOINING)]:
                try:
                    found = posix.stat(path)
                except OSError:
                    continue
                if found.st_uid or found.st_gid or found.st_mode & 0o022:
                    undone |= {f"owner of {path.rpartition('/')[2]}"}
                    _own(path, (0, 0, 0o644, {}))
        return sorted(undone)

    def _difference(self, path: str) -> str:
        return f"{path.rpartition('/')[2]} is {_shown(self._value(path))}, was {_shown(self.before[path])}"

    def _allows_by_default(self) -> bool:
        lists = (self.before.get(f"{directory}/devices.list", b"") for directory in self.directories.values())
        return any(text.startswith(b"a ") for text in lists)


def _owner(path: str) -> "tuple[int, int, int, dict[str, bytes]]":
    """User, group, permissions and extended attributes; none of a path that is not there."""
    try:
        found = posix.stat(path)
        names = [name for name in posix.listxattr(path) if not name.startswith("security.")]
        return found.st_uid, found.st_gid, found.st_mode & 0o7777, {n: posix.getxattr(path, n) for n in names}
    except OSError:
        return 0, 0, 0, {}


def _own(path: str, wanted: "tuple[int, int, int, dict[str, bytes]]") -> None:
    """PyruncError when the kernel refuses."""
    user, group, mode, attributes = wanted
    try:
        posix.chown(path, user, group)
        posix.chmod(path, mode)
        for name in _owner(path)[3].keys() - attributes.keys():
            posix.removexattr(path, name)
        for name, value in attributes.items():
            posix.setxattr(path, name, value)
    except OSError as error:
        words = f"owner of {path}: {(error.strerror or '').lower()}"
        raise PyruncError(f"loading changed what cannot be undone: {words}") from None


def set_devices(place: str, rules: "Sequence[str]", running: bool) -> None:
    """The container's device rules once more, in the cgroup ``place`` (HIERARCHY:DIRECTORY; empty: none are known). Of
    a ``running`` container only what is denied is: for a moment it would be allowed."""
    from pyrunc.cgroup.devices import lines, parse

    name, _, directory = place.partition(":")
    if not place:
        return
    wanted = parse(rules)
    if not running:
        _apply_devices(name, directory, wanted)
    elif wanted.allow_all and name != UNIFIED:
        for line in lines(wanted):
            write(f"{directory}/devices.deny", line)


def _apply_devices(name: str, directory: str, wanted: "Rules") -> None:
    """Where a library had made cgroups below, the kernel answers EINVAL until the last of them has gone for good, which
    it does after an RCU grace period and tells by no event (css_has_online_children())."""
    from time import monotonic, sleep

    from pyrunc.cgroup.manager import apply_devices

    end = monotonic() + PATIENCE
    while True:
        try:
            return apply_devices(name, directory, wanted)
        except SpecError:
            if monotonic() > end:
                raise
            sleep(0.001)


def _value(path: str) -> "bytes | None":
    """None when there is no such setting (any more)."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(path.rpartition("/")[2], descriptor)
    except OSError:
        return None
    finally:
        posix.close(descriptor)


def _read(name: str, descriptor: int) -> bytes:
    value: bytes = posix.pread(descriptor, PAGE, 0)
    if len(value) == PAGE:
        value = posix.pread(descriptor, LARGEST, 0)
    return value_of(name, value)


def _set(path: str, now: bytes, wanted: bytes) -> None:
    """As far as the kernel takes it; the caller looks."""
    directory, _, name = path.rpartition("/")
    for file, value in writes(name, now.decode().strip(), wanted.decode().strip()):
        try:
            write(f"{directory}/{file}", value)
        except OSError:
            continue


def _shown(value: "bytes | None") -> str:
    return "gone" if value is None else value.decode("utf-8", "replace").strip()
