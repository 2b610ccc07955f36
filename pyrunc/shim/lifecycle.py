"""The life of containers and their processes: Create, Start, Exec, Delete, and exits.

A worker executes what may block. The loop's thread handles the results, in the order in which the jobs finished.
"""

from time import time_ns

from pyrunc import log
from pyrunc.linux.signals import SIGKILL
from pyrunc.shim import leftovers, runtime_options
from pyrunc.shim.failures import failure_of
from pyrunc.shim.messages import SPEC, encode, kind_of, timestamp
from pyrunc.shim.resident import Workshop
from pyrunc.shim.streams import Streams
from pyrunc.shim.tasks import CREATED, RUNNING, STOPPED, Process, Task, Tasks, bundle_of
from pyrunc.shim.ttrpc import ALREADY_EXISTS, INVALID_ARGUMENT, NOT_FOUND, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.shim.children import Children
    from pyrunc.shim.events import Events
    from pyrunc.shim.loop import Loop
    from pyrunc.shim.ttrpc import Call

    Request = dict[str, Any]

NOT_EXECUTED = 127
"""The exit status of a process that Exec has added and Start could not execute."""


class Lifecycle:
    """Calls ``on_shutdown`` when containerd has requested it and no container is left."""

    def __init__(self, loop: "Loop", children: "Children", events: "Events", namespace: str) -> None:
        self.loop = loop
        self.children = children
        self.events = events
        self.on_shutdown: Callable[[], object] = loop.stop
        self.workshop = Workshop(namespace)
        self.tasks = Tasks()

    def _refuse(self, call: "Call", error: BaseException, what: str = "") -> None:
        failure = failure_of(error, what)
        log.debug(f"shim: {call.method}: {failure}")
        call.fail(failure.code, str(failure))

    def _work(
        self,
        call: "Call",
        job: "Callable[[], Any]",
        then: "Callable[[Any], bytes]",
        what: str = "",
        failed: "Callable[[BaseException], object] | None" = None,
        process: "Process | None" = None,
        check: "Callable[[], object] | None" = None,
    ) -> None:
        """Lets a worker do ``job``, and answers ``call`` with what ``then`` makes of the result.

        ``process``: the job waits until other jobs of that process are done, and then ``check`` must not raise.
        ``failed``: called before a failure is reported. ``what``: precedes the message of pyrunc's own errors.
        """

        def finish(result: "Any", error: "BaseException | None") -> None:
            try:
                if error is None:
                    call.answer(then(result))
                else:
                    if failed is not None:
                        failed(error)
                    self._refuse(call, error, what)
            except Exception as wrong:
                self._refuse(call, wrong)
            finally:
                if process is not None:
                    process.next_turn()

        def step() -> None:
            try:
                if check is not None:
                    check()
            except Exception as error:
                finish(None, error)
            else:
                self.loop.work(job, finish)

        if process is None:
            step()
        else:
            process.in_turn(step)

    def create(self, call: "Call", request: "Request") -> None:
        """Creates a container. Its init waits for Start."""
        container_id = str(request.get("id", ""))
        if container_id in self.tasks.known or container_id in self.tasks.reserved:
            raise Failure(ALREADY_EXISTS, f"task {container_id} already exists")
        bundle = bundle_of(str(request.get("bundle", "")))
        options = {**runtime_options.remembered(bundle), **runtime_options.read(request.get("options"))}
        task = Task(container_id, bundle, options)
        task.checkpoint = str(request.get("checkpoint", ""))
        mounts = request.get("rootfs", [])
        task.mounted = bool(mounts)
        init = Process(task, "", _streams(request))
        task.processes[""] = init
        self.tasks.reserved.add(container_id)

        def made(container: "Any") -> bytes:
            self.tasks.reserved.discard(container_id)
            self.tasks.known[container_id] = task
            if container is not None:
                self._created(task, container)
            streams = init.streams
            io = {"stdin": streams.stdin, "stdout": streams.stdout, "stderr": streams.stderr}
            self.events.publish(
                "TaskCreate",
                container_id=task.id,
                bundle=task.bundle,
                rootfs=mounts,
                io={**io, "terminal": streams.terminal},
                checkpoint=task.checkpoint,
                pid=init.pid,
            )
            return encode("CreateTaskResponse", {"pid": init.pid})

        def failed(error: BaseException) -> None:
            self.tasks.reserved.discard(container_id)

        self._work(
            call, lambda: self.workshop.create(task, init.streams, mounts), made, "OCI runtime create failed", failed
        )

    def _created(self, task: Task, container: "Any") -> None:
        task.container = container
        init = task.init
        init.pid = container.init_pid
        init.streams.begin(self.loop)
        self.children.watch(init.pid, lambda status: self._exited(init, status))
        self._watch_memory(task)

    def _watch_memory(self, task: Task) -> None:
        from pyrunc.container.events import OutOfMemory

        try:
            task.oom = OutOfMemory(task.live().cgroups.dirs)
        except OSError as error:
            log.warning(f"shim: out-of-memory events of {task.id}: {(error.strerror or '').lower()}")
            return
        task.oom.register(_Registering(self.loop, lambda: self._out_of_memory(task)))  # type: ignore[arg-type]

    def _out_of_memory(self, task: Task) -> None:
        for _ in range(task.oom.count() if task.oom is not None else 0):
            self.events.publish("TaskOOM", container_id=task.id)

    def _forget_memory(self, task: Task) -> None:
        """Closes the out-of-memory events. Called before the cgroups are removed, because the kernel also reports the
        removal there."""
        if task.oom is not None:
            self._out_of_memory(task)
            for descriptor in task.oom.opened:
                self.loop.remove(descriptor)
            task.oom.close()
            task.oom = None

    def start(self, call: "Call", request: "Request") -> None:
        """Lets init, or a process that Exec has added, run."""
        process = self.tasks.process(request)
        if process.exec_id:
            self._start_added(call, process)
            return
        task = process.task

        def begin() -> None:
            process.require(CREATED, what="start")
            process.starting = True

        def started(container: "Any") -> bytes:
            if task.container is None:
                self._created(task, container)
            process.status = RUNNING
            self.events.publish("TaskStart", container_id=task.id, pid=process.pid)
            over()
            return encode("StartResponse", {"pid": process.pid})

        def over(error: "BaseException | None" = None) -> None:
            process.starting = False
            if process.early is not None:
                self._exited(process, process.early)

        job = lambda: self.workshop.start(task, process.streams)  # noqa: E731
        self._work(call, job, started, "OCI runtime start failed", over, process, begin)

    def _start_added(self, call: "Call", process: Process) -> None:
        task = process.task

        def started(pid: int) -> bytes:
            process.pid = pid
            process.status = RUNNING
            process.spec = {}
            process.streams.begin(self.loop)
            self.events.publish("TaskExecStarted", container_id=task.id, exec_id=process.exec_id, pid=pid)
            self.children.watch(pid, lambda status: self._exited(process, status))
            return encode("StartResponse", {"pid": pid})

        def failed(error: BaseException) -> None:
            # It has never run. Callers that wait for it get this status.
            if process.status == CREATED:
                self._stopped(process, NOT_EXECUTED)

        job = lambda: self.workshop.execute(process)  # noqa: E731
        check = lambda: process.require(CREATED, what="start")  # noqa: E731
        self._work(call, job, started, "OCI runtime exec failed", failed, process, check)

    def exec(self, call: "Call", request: "Request") -> None:
        """Adds a process. Start executes it."""
        task = self.tasks.task(request)
        exec_id = str(request.get("exec_id", ""))
        if not exec_id:
            raise Failure(INVALID_ARGUMENT, "exec id cannot be empty")
        if exec_id in task.processes:
            raise Failure(ALREADY_EXISTS, f"process {exec_id} already exists in container {task.id}")
        task.init.require(CREATED, RUNNING, what="exec in a container with")
        process = Process(task, exec_id, _streams(request))
        process.spec = json_of(request.get("spec"), "Process")
        process.spec["terminal"] = process.streams.terminal
        task.processes[exec_id] = process
        self.events.publish("TaskExecAdded", container_id=task.id, exec_id=exec_id)
        call.answer(b"")

    def _exited(self, process: Process, status: int) -> None:
        """Called when a child process has ended."""
        if process.starting:  # its start is reported first
            process.early = status
            return
        task = process.task
        if process is task.init and task.container is not None and not task.container.own_pid_namespace:
            # Without a pid namespace the kernel does not kill the other processes when init ends.
            container = task.container
            self.loop.work(
                lambda: container.signal(SIGKILL, everyone=True), lambda _, error: self._gone(process, status, error)
            )
            return
        self._gone(process, status, None)

    def _gone(self, process: Process, status: int, error: "BaseException | None") -> None:
        if error is not None:
            log.warning(f"shim: {process.task.id}: {error}")
        self._stopped(process, status)
        self.events.publish(
            "TaskExit",
            container_id=process.task.id,
            id=process.name,
            pid=process.pid,
            exit_status=status,
            exited_at=timestamp(process.ended),
        )

    def _stopped(self, process: Process, status: int) -> None:
        process.status = STOPPED
        process.exit_status = status
        process.ended = time_ns()
        process.streams.close_input()
        waiters, process.waiters = process.waiters, []
        for call in waiters:
            call.answer(exit_of(process, "WaitResponse"))

    def delete(self, call: "Call", request: "Request") -> None:
        """Removes a process that has ended, or was never started."""
        process = self.tasks.process(request)
        task = process.task

        def check() -> None:
            process.require(CREATED, STOPPED, what="delete")
            if task.processes.get(process.exec_id) is not process:
                raise Failure(NOT_FOUND, f"process {process.exec_id} does not exist in container {task.id}")

        def begin() -> None:
            try:
                check()
            except Failure as failure:
                call.fail(failure.code, str(failure))
                process.next_turn()
                return
            process.streams.when_drained(self.loop, remove)

        def remove() -> None:
            if process.exec_id:
                self._removed(process)
                call.answer(exit_of(process, "DeleteResponse"))
                process.next_turn()
                return
            self._forget_memory(task)
            never_started = process.status == CREATED
            self.loop.work(lambda: self.workshop.delete(task, never_started), finish)

        def finish(_: "Any", error: "BaseException | None") -> None:
            if error is not None:
                self._refuse(call, error, "OCI runtime delete failed")
            else:
                self.children.collect(process.pid)
                self._removed(process)
                self.events.publish("TaskDelete", container_id=task.id, **_ended(process))
                answer = exit_of(process, "DeleteResponse")
                leftovers.remember(task.bundle, answer)
                call.answer(answer)
            process.next_turn()

        process.in_turn(begin)

    def _removed(self, process: Process) -> None:
        process.streams.close()
        task = process.task
        task.processes.pop(process.exec_id, None)
        if not process.exec_id:
            self.tasks.known.pop(task.id, None)
            for other in list(task.processes.values()):
                other.streams.close()


def _streams(request: "Request") -> Streams:
    stdin, stdout, stderr = (str(request.get(name, "")) for name in ("stdin", "stdout", "stderr"))
    return Streams(stdin, stdout, stderr, bool(request.get("terminal")))


def json_of(given: "dict[str, Any] | None", kind: str) -> "dict[str, Any]":
    """Returns the runtime-spec object in an Any. Raises Failure if it is not of ``kind``."""
    from pyrunc.spec.json_text import loads

    if kind_of(given) != kind:
        raise Failure(INVALID_ARGUMENT, f"{kind_of(given) or 'nothing'} given where {SPEC}{kind} is wanted")
    try:
        value = loads((given or {}).get("value", b""))
    except ValueError as error:
        raise Failure(INVALID_ARGUMENT, f"{kind}: {error}") from None
    if not isinstance(value, dict):
        raise Failure(INVALID_ARGUMENT, f"{kind}: is no object")
    return value


def _ended(process: Process) -> "dict[str, Any]":
    return {"pid": process.pid, "exit_status": process.exit_status, "exited_at": timestamp(process.ended)}


def exit_of(process: Process, message: str) -> bytes:
    values = _ended(process)
    if message == "WaitResponse":
        del values["pid"]
    return encode(message, values)


class _Registering:
    """Takes the registrations of OutOfMemory in place of a ``select.poll``. epoll has the same event numbers."""

    def __init__(self, loop: "Loop", action: "Callable[[], object]") -> None:
        self.loop = loop
        self.action = action

    def register(self, descriptor: int, events: int) -> None:
        """As ``select.poll.register``."""
        self.loop.add(descriptor, lambda _: self.action(), events)
