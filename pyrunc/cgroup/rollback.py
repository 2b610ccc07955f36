"""What limits were before an update, so that one that is refused half-way leaves everything as it was."""

from pyrunc.cgroup.entries import PLACE
from pyrunc.cgroup.limits import Write
from pyrunc.errors import SpecError
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.cgroup.manager import Cgroups

NO_LIMIT = {"io.max": "rbps=max wbps=max riops=max wiops=max", "io.weight": "default", "rdma.max": "max"}
"""What lifts an entry of a file that has a line for each device; v1's take 0."""


def previous(cgroups: "Cgroups", writes: "Sequence[Write]") -> "list[Write]":
    """The writes that undo ``writes``, last one first."""
    return list(_previous(cgroups, writes))[::-1]


def _previous(cgroups: "Cgroups", writes: "Sequence[Write]") -> "Iterator[Write]":
    for item in writes:
        try:
            text = read(f"{cgroups.dirs[item.hierarchy]}/{item.file}").decode()
        except OSError:
            continue  # write-only, or not there: then the write is refused, too
        value = _value(item, text)
        if value is not None:
            yield Write(item.hierarchy, item.file, value, item.where.removeprefix(f"{PLACE}."))


def _value(item: Write, text: str) -> "str | None":
    """What to write for ``text`` to be read again."""
    if item.file == "memory.oom_control":  # oom_kill_disable 0
        return text.split()[1]
    lines = text.splitlines()
    key = item.value.partition(" ")[0]
    if ":" in key or item.file in ("rdma.max", "net_prio.ifpriomap"):
        had = next((line for line in lines if line.partition(" ")[0] == key), None)
        return had or f"{key} {NO_LIMIT.get(item.file, '0')}"
    return lines[0] if len(lines) == 1 else None


def put_back(cgroups: "Cgroups", writes: "Sequence[Write]") -> None:
    """Undoes as much as the kernel lets; the refusal that led here is what the user is told."""
    for _ in range(2):  # the second time for what had to wait for another
        for item in writes:
            try:
                cgroups.apply([item])
            except SpecError:
                continue
