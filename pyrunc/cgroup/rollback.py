"""Restores the previous limits if the kernel refuses a part of an update."""

from pyrunc.cgroup.entries import PLACE
from pyrunc.cgroup.limits import Write
from pyrunc.errors import SpecError
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.cgroup.manager import Cgroups

NO_LIMIT = {"io.max": "rbps=max wbps=max riops=max wiops=max", "io.weight": "default", "rdma.max": "max"}
"""The values that remove an entry from a file with one line per device. The v1 files take 0."""


def previous(cgroups: "Cgroups", writes: "Sequence[Write]") -> "list[Write]":
    """Returns the writes that undo ``writes``, in reverse order."""
    return list(_previous(cgroups, writes))[::-1]


def _previous(cgroups: "Cgroups", writes: "Sequence[Write]") -> "Iterator[Write]":
    for item in writes:
        try:
            text = read(f"{cgroups.dirs[item.hierarchy]}/{item.file}").decode()
        except OSError:
            continue  # write-only, or missing: then the write fails, too
        value = _value(item, text)
        if value is not None:
            yield Write(item.hierarchy, item.file, value, item.where.removeprefix(f"{PLACE}."))


def _value(item: Write, text: str) -> "str | None":
    """Returns the value to write so that the file contains ``text`` again, or None if that is not known."""
    if item.file == "memory.oom_control":  # oom_kill_disable 0
        return text.split()[1]
    lines = text.splitlines()
    key = item.value.partition(" ")[0]
    if ":" in key or item.file in ("rdma.max", "net_prio.ifpriomap"):
        had = next((line for line in lines if line.partition(" ")[0] == key), None)
        return had or f"{key} {NO_LIMIT.get(item.file, '0')}"
    return lines[0] if len(lines) == 1 else None


def put_back(cgroups: "Cgroups", writes: "Sequence[Write]") -> None:
    """Applies ``writes`` as far as the kernel accepts them. Errors are ignored: the user gets the error that caused the
    roll-back."""
    for _ in range(2):  # twice, because a limit may be refused until another has been written
        for item in writes:
            try:
                cgroups.apply([item])
            except SpecError:
                continue
