"""Whether a process is where it was placed, looked at again after everything that could have moved it."""

from pyrunc import log
from pyrunc.errors import PyruncError
from pyrunc.linux import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.groups import Groups


def verify_placement(cgroups: "Groups", pid: int) -> None:
    """Reads back where ``pid`` is in every hierarchy; what was moved away is moved back once, and read again.

    A library's constructor or a daemon may move a process that was placed well (docs/hostile-libraries.md). What it has
    forked since is where it was then, and is moved back with it.
    """
    if not cgroups.read_back(pid) or procfs.exiting(pid):
        return
    log.warning(f"init was moved out of its cgroups, and is moved back: {_where(cgroups.read_back(pid))}")
    moved = _restore(cgroups, pid)
    for child in sorted(procfs.descendants(pid)):
        if not procfs.exiting(child) and cgroups.read_back(child):
            moved = moved or _restore(cgroups, child)
    if moved:
        raise PyruncError(f"init left its cgroups: {_where(moved)}")


def _where(moved: "dict[str, tuple[str, str]]") -> str:
    """``memory, freezer (found /, expected /pyrunc/x)``; hierarchies that were left for different places, each so."""
    by_place: dict[tuple[str, str], list[str]] = {}
    for name, place in moved.items():
        by_place.setdefault(place, []).append(name or "cgroup2")
    return "; ".join(f"{', '.join(names)} (found {f}, expected {e})" for (f, e), names in by_place.items())


def _restore(cgroups: "Groups", pid: int) -> "dict[str, tuple[str, str]]":
    """Places ``pid`` again; returns what read_back still finds elsewhere. A process that exits is in no cgroup."""
    moved = cgroups.read_back(pid)
    try:
        cgroups.place(pid)
    except PyruncError:
        if procfs.exiting(pid):
            return {}
        raise
    cgroups.moved_back |= set(moved)
    moved = cgroups.read_back(pid)
    return {} if procfs.exiting(pid) else moved
