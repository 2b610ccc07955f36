"""The state (runtime-spec runtime.md "State") as text: what hooks and a seccomp listener are given."""

from pyrunc.spec.json_text import dumps
from pyrunc.spec.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.record import Record


def state_parts(container_id: str, bundle: str, annotations: "dict[str, str]") -> "tuple[str, str]":
    """The state before and after the pid; STATUS stands for the status."""
    head = dumps({"status": "STATUS", "ociVersion": VERSION, "id": container_id})[:-1] + ',"pid":'
    tail: dict[str, Any] = {"bundle": bundle}
    if annotations:
        tail["annotations"] = dict(annotations)
    return head, "," + dumps(tail)[1:]


def state_text(container: "Record", status: str, pid: int) -> str:
    """The state of an existing container, as hooks and listeners are given it."""
    head, tail = state_parts(container.id, container.state.bundle, container.state.annotations)
    return f"{head.replace('STATUS', status, 1)}{pid}{tail}"
