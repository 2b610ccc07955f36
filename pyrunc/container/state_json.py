"""The state (runtime-spec runtime.md "State") as JSON text, for hooks and seccomp listeners."""

from pyrunc.spec.json_text import dumps
from pyrunc.spec.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.record import Record


def state_parts(container_id: str, bundle: str, annotations: "dict[str, str]") -> "tuple[str, str]":
    """Returns the parts of the text before and after the pid. The first part has STATUS in place of the status."""
    head = dumps({"status": "STATUS", "ociVersion": VERSION, "id": container_id})[:-1] + ',"pid":'
    tail: dict[str, Any] = {"bundle": bundle}
    if annotations:
        tail["annotations"] = dict(annotations)
    return head, "," + dumps(tail)[1:]


def state_text(container: "Record", status: str, pid: int) -> str:
    """Returns the state of an existing container."""
    head, tail = state_parts(container.id, container.state.bundle, container.state.annotations)
    return f"{head.replace('STATUS', status, 1)}{pid}{tail}"
