"""The shim's data about a pod: its containers (tasks) and their processes. Only the loop's thread changes it."""

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
    """Init (``exec_id`` is "") or a process that Exec has added. ``ended``: nanoseconds since 1970, 0 while it runs."""

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
        self.early: int | None = None  # the exit status of a process that ended before its start was reported
        self.turns: list[Callable[[], object]] = []  # the current step of this process, and those that wait for it

    @property
    def name(self) -> str:
        """The name in events: the container's id for init, otherwise the exec id."""
        return self.exec_id or self.task.id

    def in_turn(self, step: "Callable[[], object]") -> None:
        """Runs ``step`` after all earlier ones have called ``next_turn``."""
        self.turns.append(step)
        if len(self.turns) == 1:
            step()

    def next_turn(self) -> None:
        """Called when the current step is done. Starts the next one."""
        del self.turns[0]
        if self.turns:
            self.turns[0]()

    def require(self, *statuses: int, what: str) -> None:
        """Raises Failure unless the process is in one of ``statuses``."""
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
        self.checkpoint = ""  # the checkpoint that Start restores, if any
        self.mounted = False
        self.processes: dict[str, Process] = {}
        self.oom: OutOfMemory | None = None

    @property
    def rootfs(self) -> str:
        """The target of the mounts of Create."""
        return f"{self.bundle}/rootfs"

    @property
    def init(self) -> Process:
        """The container's init."""
        return self.processes[""]

    def live(self) -> "Container":
        """Returns the container. Raises Failure if it does not exist yet (Start will restore it)."""
        if self.container is None:
            raise Failure(FAILED_PRECONDITION, f"container {self.id} has not been started")
        return self.container

    def frozen(self) -> bool:
        """Whether the container is frozen."""
        if self.container is None:
            return False
        try:
            return bool(self.container.cgroups.dirs) and self.container.freezer.frozen
        except OSError:  # its cgroups are being removed
            return False


class Tasks:
    """The pod's containers by id. Ids of containers being created are reserved."""

    def __init__(self) -> None:
        self.known: dict[str, Task] = {}
        self.reserved: set[str] = set()

    def task(self, request: "dict[str, Any]") -> Task:
        """Returns the request's container. Raises Failure if it does not exist."""
        container_id = str(request.get("id", ""))
        found = self.known.get(container_id)
        if found is None:
            raise Failure(NOT_FOUND, f'container "{container_id}" does not exist')
        return found

    def process(self, request: "dict[str, Any]") -> Process:
        """Returns the request's process. Raises Failure if it does not exist."""
        task = self.task(request)
        exec_id = str(request.get("exec_id", ""))
        found = task.processes.get(exec_id)
        if found is None:
            raise Failure(NOT_FOUND, f"process {exec_id} does not exist in container {task.id}")
        return found

    @property
    def empty(self) -> bool:
        """Whether there is no container, and none is being created."""
        return not self.known and not self.reserved


def bundle_of(path: str) -> str:
    """Returns a bundle's absolute path, as containerd passes it. Raises Failure for another path."""
    if not path.startswith("/"):
        raise Failure(NOT_FOUND, f"bundle {path!r} is no absolute path")
    try:
        posix.stat(path)
    except OSError as error:
        raise Failure(NOT_FOUND, f"bundle {path}: {(error.strerror or '').lower()}") from None
    return path.rstrip("/") or "/"
