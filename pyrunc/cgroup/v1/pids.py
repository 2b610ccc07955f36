"""pids (cgroup-v1/pids.rst; cgroup-v2.rst "PID"): the same files on both versions."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    """0 is a limit (runtime-spec 1.3), written as 1 as runc does: systemd takes no 0, and the first process of the
    container is there before the limit all the same."""
    assert resources.pids is not None and resources.pids.limit is not None
    limit = resources.pids.limit
    yield "pids.max", "max" if limit < 0 else max(limit, 1), "pids.limit", False


def stats(files: "Files") -> "dict[str, int]":
    """runc's ``pids``; no limit is 0."""
    from pyrunc.cgroup.counters import UNLIMITED

    limit = files.number("pids.max")
    return {"current": files.number("pids.current"), "limit": 0 if limit == UNLIMITED else limit}
