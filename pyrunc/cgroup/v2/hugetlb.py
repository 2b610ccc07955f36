"""hugetlb (cgroup-v2.rst "HugeTLB")."""

from pyrunc.cgroup.v1 import hugetlb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", hierarchy: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entries; bytes."""
    return hugetlb.limits(resources, hierarchy, "max")


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``hugetlb``. v2 does not record the maximum usage, so it is 0."""
    return hugetlb.stats(files, "max_usage_in_bytes", "current")
