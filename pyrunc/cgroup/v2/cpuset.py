"""cpuset (cgroup-v2.rst "Cpuset"). Unlike v1's, an empty one has what its parent has."""

from pyrunc.cgroup.v1.cpuset import FLAGS, limits, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.counters import Files

__all__ = ["limits", "stats"]


def stats(files: "Files") -> "dict[str, Any]":
    """runc's ``cpuset``: the CPUs and nodes that hold; v2 has none of v1's flags."""
    found: dict[str, Any] = {name: numbers(files.text(f"cpuset.{name}.effective")) for name in ("cpus", "mems")}
    found.update(dict.fromkeys(FLAGS, 0))
    return found
