"""memory (cgroup-v1/memory.rst)."""

from pyrunc.cgroup.entries import SWAPPINESS_UNSET, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entries; bytes, -1 for no limit."""
    memory = resources.memory
    assert memory is not None
    limit, swap = memory.limit or 0, memory.swap or 0
    if swap:
        if 0 < swap < limit:
            raise refuse("memory.swap", f"{swap} is memory and swap together, and below limit, {limit}")
        # -1 is optional: a kernel without swap accounting has no limit that could be lifted.
        yield "memory.memsw.limit_in_bytes", swap, "memory.swap", swap == -1
    elif limit == -1:
        # As runc does: lifting the memory limit lifts memsw too, because the kernel refuses a limit above memsw.
        yield "memory.memsw.limit_in_bytes", -1, "memory.limit", True
    if limit:
        yield "memory.limit_in_bytes", limit, "memory.limit", False
    if memory.reservation:
        yield "memory.soft_limit_in_bytes", memory.reservation, "memory.reservation", False
    if memory.kernel_tcp:
        yield "memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp, "memory.kernelTCP", False
    if memory.swappiness is not None and memory.swappiness != SWAPPINESS_UNSET:
        if memory.swappiness > 100:
            raise refuse("memory.swappiness", f"{memory.swappiness} is not between 0 and 100")
        yield "memory.swappiness", memory.swappiness, "memory.swappiness", False
    if memory.disable_oom_killer:
        yield "memory.oom_control", 1, "memory.disableOOMKiller", False
    # memory.kernel has had no effect since Linux 5.16; it is accepted and ignored, as in runc.


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``memory``."""

    def entry(prefix: str) -> "dict[str, int]":
        return {
            "limit": files.number(f"{prefix}.limit_in_bytes"),
            "usage": files.number(f"{prefix}.usage_in_bytes"),
            "max": files.number(f"{prefix}.max_usage_in_bytes"),
            "failcnt": files.number(f"{prefix}.failcnt"),
        }

    raw = files.table("memory.stat")
    return {
        "cache": raw.get("cache", 0),
        "usage": entry("memory"),
        "swap": entry("memory.memsw"),
        "kernel": entry("memory.kmem"),
        "kernelTCP": entry("memory.kmem.tcp"),
        "raw": raw,
    }
