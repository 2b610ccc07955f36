"""What the shim knows of a pod: its containers (tasks) and their processes. Only the loop's thread changes it."""

import posix

from pyrunc.shim.ttrpc import FAILED_PRECONDITION, NOT_FOUND, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc import Container
    from pyrunc.container.events import OutOfMemory
    from pyrunc.shim.streams import Streams
    from pyrunc.shim.ttrpc import Call

CREATED, RUNNING, STOPPED, PAUSED = 1, 2, 3, 4
"""containerd.v1.types.Status."""


class Process:
    """Init (``exec_id`` is "") or one that was added by Exec. ``ended`` is in nanoseconds since 1970, 0 before."""

    def __init__(self, task: "Task", exec_id: str, streams: "Streams") -> None:
        self.task = task
        self.exec_id = exec_id
        self.streams = streams
        self.spec: dict[str, Any] = {}
        self.pid = 0
        self.status = CREATED
        self.exit_status = 0
        self.ended = 0
        self.waiters: list[Call] = []
        self.starting = False
        self.early: int | None = None  # the exit status of one that ended before its start was told
        self.turns: list[Callable[[], object]] = []  # what is being done with it, and what waits for that

    @property
    def name(self) -> str:
        """As events have it: the container's id for init."""
        return self.exec_id or self.task.id

    def in_turn(self, step: "Callable[[], object]") -> None:
        """Runs ``step`` when those before it have called ``next_turn``."""
        self.turns.append(step)
        if len(self.turns) == 1:
            step()

    def next_turn(self) -> None:
        """Called when the current step is done: begins the next."""
        del self.turns[0]
        if self.turns:
            self.turns[0]()

    def require(self, *statuses: int, what: str) -> None:
        """Failure unless it is in one of ``statuses``."""
        if self.status not in statuses:
            name = {CREATED: "created", RUNNING: "running", STOPPED: "stopped"}[self.status]
            raise Failure(FAILED_PRECONDITION, f"cannot {what} a {name} process")


class Task:
    """One container."""

    def __init__(self, container_id: str, bundle: str, options: "dict[str, Any]") -> None:
        self.id = container_id
        self.bundle = bundle
        self.options = options
        self.container: Container | None = None
        self.checkpoint = ""  # of one that is to be restored at its start
        self.mounted = False
        self.processes: dict[str, Process] = {}
        self.oom: OutOfMemory | None = None

    @property
    def rootfs(self) -> str:
        """Where the mounts of Create go."""
        return f"{self.bundle}/rootfs"

    @property
    def init(self) -> Process:
        """Its first process."""
        return self.processes[""]

    def live(self) -> "Container":
        """The container; Failure while there is none (one that is yet to be restored)."""
        if self.container is None:
            raise Failure(FAILED_PRECONDITION, f"container {self.id} has not been started")
        return self.container

    def frozen(self) -> bool:
        """Whether all of its processes are."""
        if self.container is None:
            return False
        try:
            return bool(self.container.cgroups.dirs) and self.container.freezer.frozen
        except OSError:  # its cgroups go right now
            return False


class Tasks:
    """The pod's containers by id; those that are being created are reserved."""

    def __init__(self) -> None:
        self.known: dict[str, Task] = {}
        self.reserved: set[str] = set()

    def task(self, request: "dict[str, Any]") -> Task:
        """The request's container; Failure when there is none."""
        container_id = str(request.get("id", ""))
        found = self.known.get(container_id)
        if found is None:
            raise Failure(NOT_FOUND, f'container "{container_id}" does not exist')
        return found

    def process(self, request: "dict[str, Any]") -> Process:
        """The request's process; Failure when there is none."""
        task = self.task(request)
        exec_id = str(request.get("exec_id", ""))
        found = task.processes.get(exec_id)
        if found is None:
            raise Failure(NOT_FOUND, f"process {exec_id} does not exist in container {task.id}")
        return found

    @property
    def empty(self) -> bool:
        """Whether there is none, nor one to come."""
        return not self.known and not self.reserved


def bundle_of(path: str) -> str:
    """A bundle from the root, as containerd passes it; Failure for another."""
    if not path.startswith("/"):
        raise Failure(NOT_FOUND, f"bundle {path!r} is no absolute path")
    try:
        posix.stat(path)
    except OSError as error:
        raise Failure(NOT_FOUND, f"bundle {path}: {(error.strerror or '').lower()}") from None
    return path.rstrip("/") or "/"
