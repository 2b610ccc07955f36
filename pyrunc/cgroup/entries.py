"""What a controller module in v1/ or v2/ returns for a property of ``linux.resources``."""

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[str, int | str, str, bool]
    """(file, value, place below linux.resources, optional). An optional entry is skipped if the kernel does not have
    the file, because then it does not have the limit either."""

PLACE = "linux.resources"
SWAPPINESS_UNSET = (1 << 64) - 1
"""-1 in an unsigned field of Go. Engines write this number if memory.swappiness is not set."""


def refuse(where: str, why: str) -> SpecError:
    """Returns the error for the property at ``where``, a place below linux.resources."""
    return SpecError(f"{PLACE}.{where}", why)


def _ignored(where: str) -> None:
    """Warns that a property has no effect on cgroup v2. Like runc, pyrunc ignores it, so that containers that were
    made for v1 still run."""
    from pyrunc import log

    log.warning(f"{PLACE}.{where}: cgroup v2 has nothing for it; it is ignored")


def ignored(*wheres: "tuple[str, object]") -> None:
    """Takes (place, value) pairs. Logs a warning for each place that has a value."""
    for where, value in wheres:
        if value:
            _ignored(where)


def unlimited(value: int) -> "int | str":
    """Returns ``max``, which v2 uses for the spec's -1."""
    return "max" if value < 0 else value
