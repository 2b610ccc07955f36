"""`pause` and `resume` through the freezer (v1) or cgroup.freeze (v2)."""

from pyrunc.errors import PyruncError, WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.container import Container


def pause(container: "Container") -> None:
    """Raises WrongStatus unless it is running or created."""
    status = container.status
    if status not in ("running", "created"):
        raise WrongStatus(f"cannot pause a container that is {status}: {container.id}")
    _require(container)
    container.freezer.freeze()


def resume(container: "Container") -> None:
    """Raises WrongStatus unless it is paused."""
    status = container.status
    if status != "paused":
        raise WrongStatus(f"cannot resume a container that is {status}, not paused: {container.id}")
    container.freezer.thaw()


def _require(container: "Container") -> None:
    if not container._state.data["cgroups"]:
        raise PyruncError("pause needs a freezer: the container has no cgroups")
