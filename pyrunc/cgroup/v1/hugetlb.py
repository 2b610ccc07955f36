"""hugetlb (cgroup-v1/hugetlb.rst)."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None", file: str = "limit_in_bytes") -> "Iterator[Entry]":
    """Yields the entries; bytes. ``file``: the last part of the file's name, which on v2 is ``max``."""
    for index, limit in enumerate(resources.hugepage_limits):
        where = f"hugepageLimits[{index}]"
        yield f"hugetlb.{limit.page_size}.{file}", limit.limit, where, False
        # Limit reserved pages as well (Linux 5.7): otherwise an untouched mmap could exceed the limit.
        yield f"hugetlb.{limit.page_size}.rsvd.{file}", limit.limit, where, True


def stats(files: "Files", limit: str = "max_usage_in_bytes", usage: str = "usage_in_bytes") -> "dict[str, Any]":
    """Returns runc's ``hugetlb``, {page size: counters}."""
    sizes = {name.split(".")[1] for name in posix.listdir(files.directory) if name.startswith("hugetlb.")}
    return {
        size: {
            "usage": files.number(f"hugetlb.{size}.{usage}"),
            "max": files.number(f"hugetlb.{size}.{limit}"),
            "failcnt": files.number(f"hugetlb.{size}.failcnt") or files.table(f"hugetlb.{size}.events").get("max", 0),
        }
        for size in sorted(sizes)
    }
