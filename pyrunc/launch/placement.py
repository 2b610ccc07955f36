"""Checks that a process is still in the cgroups that it was placed in, after everything that could have moved it."""

from pyrunc import log
from pyrunc.errors import PyruncError
from pyrunc.linux import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.groups import Groups


def verify_placement(cgroups: "Groups", pid: int) -> None:
    """Reads back the cgroup of ``pid`` in every hierarchy. A process that was moved out is moved back once and checked
    again. Raises PyruncError if it is still outside.

    A library's constructor or a daemon may move the process (docs/hostile-libraries.md). Child processes that it has
    forked since then are in the wrong cgroup, too, and are moved back as well.
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
    """Formats ``memory, freezer (found /, expected /pyrunc/x)``. Hierarchies with the same pair share one entry."""
    by_place: dict[tuple[str, str], list[str]] = {}
    for name, place in moved.items():
        by_place.setdefault(place, []).append(name or "cgroup2")
    return "; ".join(f"{', '.join(names)} (found {f}, expected {e})" for (f, e), names in by_place.items())


def _restore(cgroups: "Groups", pid: int) -> "dict[str, tuple[str, str]]":
    """Places ``pid`` again. Returns what read_back still finds elsewhere; nothing for a process that exits."""
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
