"""``linux.resources.unified``: v2 files by name, of any controller (memory.oom.group, cpuset.cpus.partition, misc.max,
memory.high ...)."""

from pyrunc.cgroup.entries import refuse
from pyrunc.cgroup.v2.controllers import KERNEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", hierarchy: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields an entry for each line of a value, because the kernel takes one line per write."""
    for file, value in resources.unified.items():
        where = f"unified.{file}"
        if hierarchy is None:
            raise refuse(where, "the host has no cgroup v2")
        if "/" in file or "\0" in file or file in ("", ".", ".."):
            raise refuse(where, "not the name of a file of a cgroup")
        controller = file.partition(".")[0]
        if controller not in KERNEL and controller not in hierarchy.controllers:
            raise refuse(where, f"the host has no cgroup controller {controller} on v2")
        for line in value.removesuffix("\n").split("\n"):
            yield file, line, where, False
