"""What a controller's file in v1/ or v2/ says of a property of ``linux.resources``."""

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[str, int | str, str, bool]
    """(file, value, place below linux.resources, whether a kernel without the file has no such limit either)."""

PLACE = "linux.resources"
SWAPPINESS_UNSET = (1 << 64) - 1
"""-1 as Go writes it into an unsigned field: engines' way to say that memory.swappiness is not set."""


def refuse(where: str, why: str) -> SpecError:
    """The error for the property at ``where``, below linux.resources."""
    return SpecError(f"{PLACE}.{where}", why)


def _ignored(where: str) -> None:
    """As runc: what cgroup v2 has nothing for is no limit there, and containers made for v1 run."""
    from pyrunc import log

    log.warning(f"{PLACE}.{where}: cgroup v2 has nothing for it; it is ignored")


def ignored(*wheres: "tuple[str, object]") -> None:
    """Warns of each place whose value is given."""
    for where, value in wheres:
        if value:
            _ignored(where)


def unlimited(value: int) -> "int | str":
    """v2 writes ``max`` where v1 and the spec have -1."""
    return "max" if value < 0 else value
