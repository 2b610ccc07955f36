"""`pause` and `resume`, by the freezer (v1) or cgroup.freeze (v2)."""

from pyrunc import log
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.record import Record


def pause(container: "Record") -> None:
    """Pauses the container. WrongStatus unless it is running or created. Holds the lock, so that it never freezes init
    in the middle of a `start`, which waits for init."""
    with container.locked():
        container.require("pause")
        if not container.state.cgroups:
            raise PyruncError("pause needs a freezer: the container has no cgroups")
        container.freezer.freeze()
        log.debug(f"container {container.id}: frozen")


def resume(container: "Record") -> None:
    """Resumes the container. WrongStatus unless it is paused."""
    with container.locked():
        container.require("resume")
        container.freezer.thaw()
        log.debug(f"container {container.id}: thawed")
