"""A container's cgroups: made and limited. One class for v1, v2 and hybrid hosts."""

import errno
import posix

from pyrunc.cgroup.existing import Existing, not_ours
from pyrunc.cgroup.host import UNIFIED
from pyrunc.container.process import read, write
from pyrunc.errors import PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.limits import Write


class Cgroups(Existing):
    """``made``: directories that ``create`` made, to be unmade when it fails."""

    __slots__ = ("made",)

    def __init__(self, dirs: "dict[str, str]") -> None:
        super().__init__(dirs)
        self.made: list[str] = []

    def create(self) -> None:
        """Makes every directory. On failure what it made is gone again; PyruncError names the directory."""
        try:
            for name, directory in self.dirs.items():
                self._make(name, directory)
        except OSError as error:
            self._unmake()
            raise PyruncError(not_ours(str(error.filename), error)) from None

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


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
        return True
    except FileNotFoundError:
        return False


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
