"""`pause` and `resume` through the freezer (v1) or cgroup.freeze (v2)."""

from pyrunc.errors import PyruncError, WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.container import Container
    from pyrunc.container.state import State


def pause(container: "Container", state: "State") -> None:
    """Raises WrongStatus unless it is running or created. Never in the middle of a `start`, which waits for init."""
    state.take_lock()
    try:
        state.reload()
        status = container.status
        if status not in ("running", "created"):
            raise WrongStatus(f"cannot pause a container that is {status}: {container.id}")
        _require(container)
        container.freezer.freeze()
    finally:
        state.release()


def resume(container: "Container", state: "State") -> None:
    """Raises WrongStatus unless it is paused."""
    state.take_lock()
    try:
        state.reload()
        status = container.status
        if status != "paused":
            raise WrongStatus(f"cannot resume a container that is {status}, not paused: {container.id}")
        container.freezer.thaw()
    finally:
        state.release()


def _require(container: "Container") -> None:
    if not container._state.data["cgroups"]:
        raise PyruncError("pause needs a freezer: the container has no cgroups")
