"""pids (cgroup-v1/pids.rst; cgroup-v2.rst "PID"). The files are the same on v1 and v2."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entry. 0 is a limit (runtime-spec 1.3), but pyrunc writes 1, as runc does: systemd refuses 0, and init
    is in the cgroup before the limit is set anyway."""
    assert resources.pids is not None and resources.pids.limit is not None
    limit = resources.pids.limit
    yield "pids.max", "max" if limit < 0 else max(limit, 1), "pids.limit", False


def stats(files: "Files") -> "dict[str, int]":
    """Returns runc's ``pids``, where 0 means no limit."""
    from pyrunc.cgroup.counters import UNLIMITED

    limit = files.number("pids.max")
    return {"current": files.number("pids.current"), "limit": 0 if limit == UNLIMITED else limit}
