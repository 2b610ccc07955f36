"""cpuset (cpuset(7), cgroup-v1/cpusets.rst)."""

from pyrunc.linux.files import read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources

FLAGS = (
    *("cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab"),
    *("memory_pressure", "sched_load_balance", "sched_relax_domain_level"),
)
"""runc's keys, which are also the names of the files."""


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    cpu = resources.cpu
    assert cpu is not None
    if cpu.cpus:
        yield "cpuset.cpus", cpu.cpus, "cpu.cpus", False
    if cpu.mems:
        yield "cpuset.mems", cpu.mems, "cpu.mems", False


def fill(directory: str) -> None:
    """Copies the parent's CPUs and memory nodes into ``directory`` if it has none, and into its ancestors that have
    none. A new cpuset is empty, also one that a user made by mkdir, and no process can join it (cpuset(7))."""
    empty: list[tuple[str, str]] = []
    for file in ("cpuset.cpus", "cpuset.mems"):
        path = directory
        while True:
            try:
                value = read(f"{path}/{file}").strip()
            except FileNotFoundError:  # path is above the hierarchy's mount point
                break
            if value:
                break
            empty.append((path, file))
            path = path.rpartition("/")[0]
    for path, file in reversed(empty):
        value = read(f"{path.rpartition('/')[0]}/{file}").strip()
        write(f"{path}/{file}", value.decode())


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``cpuset``, with ranges of CPUs and memory nodes expanded to lists of numbers."""
    found: dict[str, Any] = {name: numbers(files.text(f"cpuset.{name}")) for name in ("cpus", "mems")}
    found.update({name: files.number(f"cpuset.{name}") for name in FLAGS})
    return found


def numbers(ranges: str) -> "list[int]":
    """Expands ``0-2,5`` to 0, 1, 2, 5."""
    found: list[int] = []
    for part in filter(None, ranges.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
