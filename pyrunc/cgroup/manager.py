"""A container's cgroups: made, filled, read back, frozen, emptied, removed. One class for v1, v2 and hybrid hosts."""

import errno
import posix

from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.host import UNIFIED, discover, paths_of
from pyrunc.container.process import read
from pyrunc.errors import PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.limits import Write

REMOVE_TIMEOUT = 5.0
"""Seconds. The kernel gives EBUSY for as long as the last process of a cgroup is on its way out."""


def write(path: str, value: str) -> None:
    """One write(2). OSError is the kernel's answer."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)


class Cgroups:
    """``dirs`` {hierarchy name: absolute directory}, as ``paths.resolve`` gave them and the state keeps them."""

    __slots__ = ("dirs", "fell_back", "made", "put_back")

    def __init__(self, dirs: "dict[str, str]") -> None:
        self.dirs = dirs
        self.made: list[str] = []
        self.fell_back = False
        self.put_back: set[str] = set()  # hierarchies that somebody moved the process out of

    # -- making and filling ------------------------------------------------------------------------------------

    def create(self) -> None:
        """Makes every directory. On failure what it made is gone again; PyruncError names the directory."""
        try:
            for name, directory in self.dirs.items():
                self._make(name, directory)
        except OSError as error:
            self._unmake()
            raise PyruncError(_not_ours(str(error.filename), error)) from None

    def _make(self, name: str, directory: str) -> None:
        missing = []
        above = directory
        while not _exists(above):
            missing.append(above)
            above = above.rpartition("/")[0]
        for path in reversed(missing):
            parent = path.rpartition("/")[0]
            if name == UNIFIED:
                _hand_on(parent)
            try:
                posix.mkdir(path, 0o755)
            except FileExistsError:
                continue
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            self.made.append(path)
            if "cpuset" in name.split(","):
                _inherit_cpuset(parent, path)
        if name == UNIFIED and not missing:
            _hand_on(directory.rpartition("/")[0])

    def _unmake(self) -> None:
        for path in reversed(self.made):
            try:
                posix.rmdir(path)
            except OSError:
                continue

    def apply(self, writes: "Sequence[Write]") -> None:
        """Writes the limits. SpecError names the property, the file and the kernel's answer."""
        left = list(writes)
        while left:
            refused: list[tuple[Write, OSError]] = []
            for item in left:
                try:
                    self._write(item)
                except OSError as error:
                    if error.errno == errno.ENOENT and item.optional:
                        continue
                    if error.errno != errno.EINVAL:
                        raise self._refused(item, error) from None
                    # Limits that must fit each other (memory and memory with swap, period and quota, quota and burst,
                    # shares and idle): which one must go first depends on what they were.
                    refused.append((item, error))
            if len(refused) == len(left):
                raise self._refused(*refused[0])
            left = [item for item, _ in refused]

    def _write(self, item: "Write") -> None:
        write(f"{self.dirs[item.hierarchy]}/{item.file}", item.value)

    def _refused(self, item: "Write", error: OSError) -> SpecError:
        if error.errno == errno.EBUSY and item.file.startswith("memory."):
            usage = self.usage(item.hierarchy)
            return SpecError(item.where, f"unable to set memory limit to {item.value} (current usage: {usage})")
        if error.errno == errno.ENOENT:
            return SpecError(item.where, f"the host's kernel has no {item.file}")
        return SpecError(item.where, f"write {item.value!r} to {item.file}: {(error.strerror or '').lower()}")

    def usage(self, hierarchy: str) -> str:
        """Bytes of memory in use, or ``unknown``."""
        file = "memory.current" if hierarchy == UNIFIED else "memory.usage_in_bytes"
        try:
            return read(f"{self.dirs[hierarchy]}/{file}").decode().strip()
        except OSError:
            return "unknown"

    def oom_kills(self) -> int:
        """How many processes of theirs the kernel has killed for want of memory; 0 where nothing counts them."""
        for name, directory in self.dirs.items():
            file = "memory.events" if name == UNIFIED else "memory.oom_control"
            try:
                lines = read(f"{directory}/{file}").splitlines()
            except OSError:
                continue
            for line in lines:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
        return 0

    def apply_devices(self, rules: "Rules") -> None:
        """Device rules, on v1 by files and on v2 by a program."""
        name = next((name for name in self.dirs if "devices" in name.split(",")), None)
        try:
            if name is not None:
                from pyrunc.cgroup.devices import legacy

                for file, value in legacy(rules):
                    write(f"{self.dirs[name]}/{file}", value)
            elif UNIFIED in self.dirs and len(self.dirs) == 1:
                from pyrunc.cgroup.ebpf import attach

                attach(self.dirs[UNIFIED], rules)
        except OSError as error:
            raise SpecError("linux.resources.devices", f"{(error.strerror or '').lower()}") from None

    def place(self, pid: int, fallback: int = 0) -> None:
        """Moves ``pid`` into every cgroup. ``fallback`` (exec): when v2 answers EBUSY, for the container has handed
        controllers on to cgroups below its own, the cgroup of that process (init) is joined instead."""
        for directory in self.dirs.values():
            try:
                write(f"{directory}/cgroup.procs", str(pid))
            except OSError as error:
                if error.errno == errno.EBUSY and fallback:
                    self._fall_back(pid, fallback)
                    continue
                raise PyruncError(_not_ours(f"{directory}/cgroup.procs", error)) from None

    def _fall_back(self, pid: int, fallback: int) -> None:
        unified = discover().unified
        assert unified is not None
        self.fell_back = True
        write(f"{unified.mountpoint}{paths_of(fallback)[UNIFIED]}/cgroup.procs", str(pid))

    def read_back(self, pid: int) -> "dict[str, tuple[str, str]]":
        """{hierarchy: (found, expected)} of those where ``pid`` is neither in its cgroup nor below it."""
        try:
            found = paths_of(pid)
        except OSError:
            return {}
        moved = {}
        for hierarchy in discover().hierarchies:
            directory = self.dirs.get(hierarchy.name)
            if directory is None or not directory.startswith(f"{hierarchy.mountpoint}/"):
                continue
            expected = hierarchy.root.rstrip("/") + directory[len(hierarchy.mountpoint) :]
            path = found.get(hierarchy.name, "")
            # Below: a program may make cgroups of its own there.
            if path != expected and not path.startswith(f"{expected}/"):
                moved[hierarchy.name] = (path, expected)
        return moved

    # -- who is in them ----------------------------------------------------------------------------------------

    def pids(self) -> "set[int]":
        """Pids of all processes in them and below, the union over all hierarchies."""
        found: set[int] = set()
        for directory in self.dirs.values():
            for path in tree(directory):
                try:
                    found.update(map(int, read(f"{path}/cgroup.procs").split()))
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                        raise
        found.discard(0)  # processes of a pid namespace that we can't see
        return found

    # -- the end -----------------------------------------------------------------------------------------------

    def kill_all(self, number: int) -> None:
        """Kills everyone until nobody is left (SIGKILL), or signals all once."""
        import time

        from pyrunc.container.kill import send_to

        freezer = Freezer(self.dirs)
        if number == 9 and UNIFIED in self.dirs:
            try:
                write(f"{self.dirs[UNIFIED]}/cgroup.kill", "1")  # Linux 5.14: forks can't outrun it
            except OSError:
                pass
        end = time.monotonic() + REMOVE_TIMEOUT
        while pids := self.pids():
            for pid in pids:
                send_to(pid, number)
            if number != 9 or time.monotonic() > end:
                return
            if freezer.frozen:
                freezer.thaw()
            time.sleep(0.001)

    def remove_empty(self) -> bool:
        """Removes those that have neither processes nor cgroups below, as is usual at the end; whether all are gone."""
        gone = True
        for directory in self.dirs.values():
            try:
                _rmdir(directory)
            except OSError:
                gone = False
        return gone

    def remove(self) -> None:
        """Removes them and what was made below; PyruncError when one stays busy. What is gone already is fine."""
        import time

        end = time.monotonic() + REMOVE_TIMEOUT
        for directory in self.dirs.values():
            while True:
                try:
                    for path in reversed(list(tree(directory))):
                        _rmdir(path)
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > end:
                        raise PyruncError(f"remove cgroup {directory}: {(error.strerror or '').lower()}") from None
                time.sleep(0.002)


def _rmdir(path: str) -> None:
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        pass


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
        return True
    except FileNotFoundError:
        return False


def tree(directory: str) -> "Iterator[str]":
    """``directory`` and every cgroup below, parents first."""
    try:
        entries = list(posix.scandir(directory))
    except OSError:
        return
    yield directory
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from tree(entry.path)


def _hand_on(directory: str) -> None:
    """v2: the controllers that ``directory`` has are enabled for its children (cgroups(7) "Subtree control")."""
    try:
        have = set(read(f"{directory}/cgroup.controllers").decode().split())
        on = set(read(f"{directory}/cgroup.subtree_control").decode().split())
    except FileNotFoundError:
        return
    for controller in sorted(have - on):
        try:
            write(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except OSError:
            # Refused where the directory has processes of its own; a limit that needs it says so by name.
            continue


def _inherit_cpuset(parent: str, directory: str) -> None:
    """A new v1 cpuset is empty, and no process can be put into it until it is not (cpuset(7))."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        value = read(f"{parent}/{file}").decode().strip()
        if value and not read(f"{directory}/{file}").strip():
            write(f"{directory}/{file}", value)


def _not_ours(path: str, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{path}: not ours to write ({(error.strerror or '').lower()}): have it delegated "
            "(systemd's Delegate=, or chown) or use --cgroup-manager=disabled"
        )
    return f"{path}: {(error.strerror or '').lower()}"
