"""Makes a container's cgroups and sets their limits. One class for v1, v2 and hybrid hosts."""

import errno
import posix

from pyrunc.cgroup.groups import Groups, not_ours
from pyrunc.cgroup.host import UNIFIED
from pyrunc.errors import PyruncError, SpecError
from pyrunc.linux.files import exists, read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.limits import Write


class Cgroups(Groups):
    """The cgroups of a container that is being created. ``made``: directories to remove if ``create`` fails."""

    __slots__ = ("made",)

    def __init__(self, dirs: "dict[str, str]") -> None:
        super().__init__(dirs)
        self.made: list[str] = []

    def create(self) -> None:
        """Makes every directory. On failure removes those that it made; PyruncError names the directory."""
        try:
            for name, directory in self.dirs.items():
                self._make(name, directory)
        except OSError as error:
            self._unmake()
            raise PyruncError(not_ours(str(error.filename), error)) from None

    def _make(self, name: str, directory: str) -> None:
        missing = []
        above = directory
        while not exists(above):
            missing.append(above)
            above = above.rpartition("/")[0]
        for path in reversed(missing):
            try:
                posix.mkdir(path, 0o755)
            except FileExistsError:
                continue
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            self.made.append(path)
        if name == UNIFIED:
            from pyrunc.cgroup.v2.controllers import hand_down

            hand_down(directory)
        elif "cpuset" in name.split(","):
            from pyrunc.cgroup.v1.cpuset import fill

            fill(directory)

    def _unmake(self) -> None:
        for path in reversed(self.made):
            try:
                posix.rmdir(path)
            except OSError:
                continue

    def apply(self, writes: "Sequence[Write]") -> None:
        """Writes the limits. SpecError names the property, the file and the kernel's answer."""
        limits = Limits()
        for item in writes:
            limits.write(f"{self.dirs[item.hierarchy]}/{item.file}", item.value, item.where, item.optional)
        limits.settle()

    def usage(self, hierarchy: str) -> str:
        """Returns the memory in use, in bytes, or ``unknown``."""
        return usage(self.dirs[hierarchy])

    def oom_kills(self) -> int:
        """Returns the number of processes that the kernel's OOM killer has killed, 0 if no hierarchy counts them."""
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
        """Sets the device rules, if a hierarchy takes them. SpecError with the kernel's answer."""
        name = devices_hierarchy(self.dirs)
        if name is not None:
            apply_devices(name, self.dirs[name], rules)


class Limits:
    """Writes limits one after another. Some constrain each other (memory and memory with swap, period and quota, quota
    and burst, shares and idle), and which must be written first depends on the previous values. A limit that the
    kernel refuses as invalid is therefore tried again after each limit that it accepts."""

    __slots__ = ("refused",)

    def __init__(self) -> None:
        self.refused: list[tuple[str, str, str]] = []  # (path, value, place in config.json)

    def write(self, path: str, value: str, where: str, optional: bool = False) -> None:
        """Writes one limit. SpecError with the kernel's answer, except for EINVAL: that limit is tried again later.
        ``optional``: ignore a missing file."""
        try:
            write(path, value)
        except OSError as error:
            if error.errno == errno.ENOENT and optional:
                return
            if error.errno != errno.EINVAL:
                raise _refusal(path, value, where, error) from None
            self.refused.append((path, value, where))
            return
        if path.endswith("/cpu.shares"):
            _check_shares(path, value, where)
        if self.refused:
            self._again()

    def _again(self) -> "OSError | None":
        """Writes the refused limits again until the kernel accepts no more of them. Returns its answer to the first of
        those that remain, or None."""
        while self.refused:
            again, self.refused, answer = self.refused, [], None
            for item in again:
                try:
                    write(item[0], item[1])
                except OSError as error:
                    answer = answer or error
                    self.refused.append(item)
            if len(self.refused) == len(again):
                return answer
        return None

    def settle(self) -> None:
        """Tries the refused limits once more. SpecError for the first one that the kernel still refuses."""
        answer = self._again()
        if answer is not None:
            raise _refusal(*self.refused[0], answer) from None


def _check_shares(path: str, value: str, where: str) -> None:
    """Reads the value back, because v1 accepts any number and clamps it. SpecError if it was clamped, with runc's
    message, which engines' tests read."""
    held = int(read(path))
    if held != int(value):
        raise SpecError(where, f"the {'minimum' if int(value) < held else 'maximum'} allowed cpu-shares is {held}")


def _refusal(path: str, value: str, where: str, error: OSError) -> SpecError:
    directory, _, file = path.rpartition("/")
    if error.errno == errno.EBUSY and file.startswith("memory."):
        return SpecError(where, f"unable to set memory limit to {value} (current usage: {usage(directory)})")
    if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM):
        from pyrunc.cgroup.v2.controllers import missing

        if why := missing(directory, file.partition(".")[0]):
            return SpecError(where, why)
    if error.errno == errno.ENOENT:
        return SpecError(where, f"the host's kernel has no {file}")
    return SpecError(where, f"write {value!r} to {file}: {(error.strerror or '').lower()}")


def usage(directory: str) -> str:
    """Returns the memory in use, in bytes, in the cgroup at ``directory`` (v2 or the v1 memory hierarchy), or
    ``unknown``."""
    for file in ("memory.current", "memory.usage_in_bytes"):
        try:
            return read(f"{directory}/{file}").decode().strip()
        except OSError:
            continue
    return "unknown"


def devices_hierarchy(names: "Iterable[str]") -> "str | None":
    """Returns the hierarchy in ``names`` that takes device rules: the v1 devices hierarchy, v2 if it is the only one,
    or None."""
    found = list(names)
    legacy = next((name for name in found if "devices" in name.split(",")), None)
    return UNIFIED if found == [UNIFIED] else legacy


def apply_devices(hierarchy: str, directory: str, rules: "Rules") -> None:
    """Sets the device rules of the cgroup at ``directory``: by files on v1, by an eBPF program on v2."""
    try:
        if hierarchy != UNIFIED:
            from pyrunc.cgroup.v1.devices import apply
        else:
            from pyrunc.cgroup.v2.devices import apply
        apply(directory, rules)
    except OSError as error:
        raise SpecError("linux.resources.devices", f"{(error.strerror or '').lower()}") from None
