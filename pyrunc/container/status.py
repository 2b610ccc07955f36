"""The states of a container, and the commands that each state allows (runtime-spec runtime.md "State").

create         start          (the program ends)
───► creating ──► created ──────► running ───────────────► stopped ──► (delete)
                    │ ▲             │ ▲                        ▲
              pause ▼ │ resume pause▼ │ resume                 │
                    paused        paused ──────────────────────┘ kill
"""

from pyrunc.errors import NotRunning, WrongStatus

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"

ALLOWED: "dict[str, tuple[str, ...]]" = {
    "start": (CREATED,),
    "exec": (CREATED, RUNNING, PAUSED),
    "kill": (CREATING, CREATED, RUNNING, PAUSED),
    "pause": (CREATED, RUNNING),
    "resume": (PAUSED,),
    "update": (CREATING, CREATED, RUNNING, PAUSED),
    "stats": (CREATING, CREATED, RUNNING, PAUSED),
    "checkpoint": (RUNNING, PAUSED),
    # A container that was never started can be deleted without --force (as in runc).
    "delete": (CREATING, CREATED, STOPPED),
}
"""{command: states in which it is allowed}. `delete --force` is allowed in every state."""

REFUSALS: "dict[str, tuple[type[WrongStatus], str]]" = {
    "start": (WrongStatus, "cannot start a container that is {status}: {id}"),
    "exec": (WrongStatus, "cannot exec in a container that is not running: {id} is {status}"),
    "kill": (NotRunning, "container not running"),
    "pause": (WrongStatus, "cannot pause a container that is {status}: {id}"),
    "resume": (WrongStatus, "cannot resume a container that is {status}, not paused: {id}"),
    "update": (NotRunning, "container not running: {id}"),
    "stats": (NotRunning, "container {id} is not running"),
    "checkpoint": (WrongStatus, "cannot checkpoint a container that is {status}: {id}"),
    "delete": (WrongStatus, "cannot delete container {id} that is not stopped: {status}"),
}
"""{command: (exception, message) in other states}. Engines match some of these messages."""


def check(command: str, status: str, container_id: str) -> None:
    """Raises WrongStatus or NotRunning if ``command`` is not allowed in ``status``."""
    if status not in ALLOWED[command]:
        raise _refusal(command, status, container_id)


def _refusal(command: str, status: str, container_id: str) -> "WrongStatus":
    kind, words = REFUSALS[command]
    return kind(words.format(status=status, id=container_id))
