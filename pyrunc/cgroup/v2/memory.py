"""memory (cgroup-v2.rst "Memory")."""

from pyrunc.cgroup.entries import SWAPPINESS_UNSET, ignored, refuse, unlimited

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
    limit = memory.limit or 0
    swap = swap_of(limit, memory.swap or 0)
    if swap is not None:
        # Optional for -1 and 0: without swap accounting there is no limit to lift, and no swap to be used.
        yield "memory.swap.max", unlimited(swap), "memory.swap" if memory.swap else "memory.limit", swap <= 0
    if limit:
        yield "memory.max", unlimited(limit), "memory.limit", False
    if memory.reservation:
        yield "memory.low", unlimited(memory.reservation), "memory.reservation", False
    swappiness = memory.swappiness if memory.swappiness != SWAPPINESS_UNSET else None
    ignored(
        ("memory.kernelTCP", memory.kernel_tcp),
        ("memory.swappiness", swappiness),
        ("memory.disableOOMKiller", memory.disable_oom_killer),
    )


def swap_of(limit: int, swap: int) -> "int | None":
    """Converts the spec's sum of memory and swap to v2's limit of swap alone. Returns -1 for no limit, None if the
    limit is not to be changed."""
    if swap == 0:
        # As runc does: lifting the memory limit lifts the swap limit too.
        return -1 if limit == -1 else None
    if swap < 0:
        return -1
    if limit < 0:  # as runc does: without a memory limit the sum has no meaning, and the value limits swap alone
        return swap
    if limit == 0:
        raise refuse("memory.swap", "needs memory.limit: cgroup v2 limits swap alone")
    if swap < limit:
        raise refuse("memory.swap", f"{swap} is memory and swap together, and below limit, {limit}")
    return swap - limit


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``memory``. Values that v2 does not count are 0."""
    from pyrunc.cgroup.counters import UNLIMITED, pressure

    raw = files.table("memory.stat")
    events, swap_events = files.table("memory.events"), files.table("memory.swap.events")
    usage, swap = files.number("memory.current"), files.number("memory.swap.current")
    limit, swap_limit = files.number("memory.max"), files.number("memory.swap.max")
    peak = files.number("memory.peak")
    none = {"limit": 0, "failcnt": 0}
    found: dict[str, Any] = {
        "cache": raw.get("file", 0),
        "usage": {"limit": limit, "usage": usage, "max": peak, "failcnt": events.get("max", 0)},
        "swap": {
            "limit": min(limit + swap_limit, UNLIMITED),
            "usage": usage + swap,
            "max": peak + files.number("memory.swap.peak") if peak else 0,
            "failcnt": swap_events.get("max", 0),
        },
        "kernel": {**none, "usage": raw.get("kernel", 0)},
        "kernelTCP": {**none, "usage": raw.get("sock", 0)},
        "raw": raw,
    }
    found.update(pressure(files, "memory.pressure"))
    return found
