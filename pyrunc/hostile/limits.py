"""Compares the settings of a container's cgroups before and after a library is loaded: limits, device rules, the
freezer, the release agent, and the limits of parent cgroups. Restores what differs, or fails the start."""

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
"""The largest number of files kept open. The others are opened again."""
MOST_FILES = 4096
"""The largest number of settings. A container with more (exec, many cgroups of its own) is refused, not partly
checked."""
JOINING = ("cgroup.procs", "cgroup.threads", "tasks")
"""Files whose write permission decides who can move processes into the cgroup."""
ROUNDS = 6
PATIENCE = 1.0
"""Seconds that the kernel may take to remove a cgroup."""
PAGE, LARGEST = 4096, 65536
"""Sizes of the first and of the largest read, in bytes. Most settings are a word; a long devices.list needs the
second."""


class Limits:
    """The settings of a container's cgroups before loading. ``directories``: {hierarchy: directory}; ``host`` has the
    hierarchies. ``made``: cgroups that were just created, which have no BPF programs."""

    def __init__(self, directories: "dict[str, str]", host: "Host", made: "Container[str]" = ()) -> None:
        self.directories = directories
        self.made = made
        self.before: dict[str, bytes] = {}
        self.below: set[str] = set()
        """The cgroups below the container's own."""
        self._open: dict[str, int] = {}
        for directory in directories.values():
            self._look_below(directory)
        for hierarchy in host.hierarchies:
            self._look_above(hierarchy)
        unified = directories.get(UNIFIED, "")
        # On a pure v2 host the new cgroups do have programs: the device rules.
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
        """Reads the files in directory ``here`` and keeps them open: reading an open file takes a fifth of the time."""
        for name in names:
            # The kernel (kernfs) refuses O_RDWR for a file that is not both readable and writable, so stat(2) is not
            # needed.
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
        """Returns the value of a setting, None if it does not exist (any more)."""
        if path not in self._open:
            return _value(path)
        try:
            return _read(path.rpartition("/")[2], self._open[path])
        except OSError:  # ENODEV: the cgroup or its controller was removed; a new one may have the same name
            return _value(path)

    def _programs(self) -> "set[tuple[int, int]]":
        """Returns the BPF programs of the v2 cgroup."""
        if UNIFIED not in self.directories:
            return set()
        from pyrunc.hostile.attached import programs

        return programs(self.directories[UNIFIED])

    def thaw(self) -> None:
        """Thaws a process that has frozen itself, which would neither answer nor die."""
        if self.freezer and self._value(self.freezer) != self.before[self.freezer]:
            _set(self.freezer, b"", self.before[self.freezer])

    def restore(self, devices: "Callable[[], object]") -> "list[str]":
        """Restores settings that differ, and returns their names. Raises PyruncError if one cannot be restored.

        ``devices`` applies the device rules again. Where everything is allowed by default, ``devices.list`` does not
        show the exceptions (cgroup-v1/devices.rst).
        """
        changed = [path for path, value in self.before.items() if self._value(path) != value]
        undone = sorted({path.rpartition("/")[2] for path in changed})
        left = sorted(changed, key=order)
        for _ in range(ROUNDS):
            # Limits that depend on each other (memory, and memory with swap) need an order that depends on both values,
            # and setting one may change another. So all are written in several rounds.
            for path in left:
                _set(path, self._value(path) or b"", self.before[path])
            left = [path for path in (self.before if changed else ()) if self._value(path) != self.before[path]]
            if not left:
                break
        if left:
            raise PyruncError(f"loading changed what cannot be undone: {'; '.join(map(self._difference, left))}")
        undone += self._restore_programs(devices)
        if self._allows_by_default():
            devices()
        return undone + self._restore_owners()

    def devices_differ(self) -> bool:
        """Whether the device rules of the container or of a parent cgroup differ from those before loading."""
        files = (path for path in self.before if path.endswith("/devices.list"))
        return any(self._value(path) != self.before[path] for path in files) or self._programs() != self.programs

    def _restore_programs(self, devices: "Callable[[], object]") -> "list[str]":
        now = self._programs()
        if now == self.programs:
            return []
        from pyrunc.hostile.attached import DEVICE, detach

        detach(self.directories[UNIFIED], now - self.programs)
        rules = {program for program in self.programs if program[0] == DEVICE}
        if not rules <= now:
            devices()  # attaches the rules again
        now = self._programs()
        others = [{program for program in each if program[0] != DEVICE} for each in (now, self.programs)]
        if others[0] != others[1] or len(now) != len(self.programs):
            raise PyruncError("loading changed what cannot be undone: BPF programs of the cgroup")
        return ["BPF programs of the cgroup"]

    def _restore_owners(self) -> "list[str]":
        """Restores owners of cgroups that root has just created. Others may be delegated to a user, with some files."""
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
    """Returns user, group, permissions and extended attributes of ``path``; zeros if it does not exist."""
    try:
        found = posix.stat(path)
        names = [name for name in posix.listxattr(path) if not name.startswith("security.")]
        return found.st_uid, found.st_gid, found.st_mode & 0o7777, {n: posix.getxattr(path, n) for n in names}
    except OSError:
        return 0, 0, 0, {}


def _own(path: str, wanted: "tuple[int, int, int, dict[str, bytes]]") -> None:
    """Restores what ``_owner`` returned. Raises PyruncError if the kernel refuses."""
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
    """Applies the container's device rules again in the cgroup ``place`` (HIERARCHY:DIRECTORY; empty: there are no
    rules). For a ``running`` container it writes only denials, because the full rules first allow everything for a
    moment."""
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
    """Applies device rules. If a library had created child cgroups, the kernel returns EINVAL until the last of them is
    released. That happens after an RCU grace period, and no event reports it (css_has_online_children()), so this
    retries."""
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
    """Returns the value of a setting, None if it does not exist (any more)."""
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
    """Writes a setting as far as the kernel accepts it. The caller checks the result."""
    directory, _, name = path.rpartition("/")
    for file, value in writes(name, now.decode().strip(), wanted.decode().strip()):
        try:
            write(f"{directory}/{file}", value)
        except OSError:
            continue


def _shown(value: "bytes | None") -> str:
    return "gone" if value is None else value.decode("utf-8", "replace").strip()
