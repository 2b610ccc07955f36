"""cpuset (cgroup-v2.rst "Cpuset"). Unlike on v1, an empty cpuset uses its parent's CPUs and memory nodes."""

from pyrunc.cgroup.v1.cpuset import FLAGS, limits, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.counters import Files

__all__ = ["limits", "stats"]


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``cpuset``, with the effective CPUs and memory nodes. v1's flags do not exist on v2 and are 0."""
    found: dict[str, Any] = {name: numbers(files.text(f"cpuset.{name}.effective")) for name in ("cpus", "mems")}
    found.update(dict.fromkeys(FLAGS, 0))
    return found
