"""containerd's task service (containerd.task.v2.Task and v3). A call is answered at once from the known tasks, or by a
worker."""

import posix

from pyrunc.shim.lifecycle import Lifecycle, exit_of, json_of
from pyrunc.shim.messages import any_of, decode, encode, timestamp
from pyrunc.shim.tasks import CREATED, PAUSED, RUNNING, STOPPED, Task
from pyrunc.shim.ttrpc import INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.shim.lifecycle import Request
    from pyrunc.shim.ttrpc import Call

SERVICES = ("containerd.task.v2.Task", "containerd.task.v3.Task")
REQUESTS = {
    "State": "StateRequest",
    "Create": "CreateTaskRequest",
    "Start": "StartRequest",
    "Delete": "DeleteRequest",
    "Pids": "PidsRequest",
    "Pause": "PauseRequest",
    "Resume": "ResumeRequest",
    "Checkpoint": "CheckpointTaskRequest",
    "Kill": "KillRequest",
    "Exec": "ExecProcessRequest",
    "ResizePty": "ResizePtyRequest",
    "CloseIO": "CloseIORequest",
    "Update": "UpdateTaskRequest",
    "Wait": "WaitRequest",
    "Stats": "StatsRequest",
    "Connect": "ConnectRequest",
    "Shutdown": "ShutdownRequest",
}


class Service(Lifecycle):
    """The methods that containerd calls."""

    def dispatch(self, call: "Call") -> None:
        """Answers ``call`` now or later."""
        if call.service not in SERVICES or call.method not in REQUESTS:
            call.fail(UNIMPLEMENTED, f"/{call.service}/{call.method} is not implemented")
            return
        try:
            request = decode(REQUESTS[call.method], call.payload)
            getattr(self, call.method.lower())(call, request)
        except ValueError as error:
            call.fail(INVALID_ARGUMENT, f"{REQUESTS[call.method]} can't be read: {error}")
        except Exception as error:
            self._refuse(call, error)

    def state(self, call: "Call", request: "Request") -> None:
        """Answers with the state of a process."""
        process = self.tasks.process(request)
        streams, status = process.streams, process.status
        if status == RUNNING and process.task.frozen():
            status = PAUSED
        values = {"id": process.task.id, "bundle": process.task.bundle, "pid": process.pid, "status": status}
        values |= {"stdin": streams.stdin, "stdout": streams.stdout, "stderr": streams.stderr}
        values |= {"terminal": streams.terminal, "exit_status": process.exit_status, "exec_id": process.exec_id}
        call.answer(encode("StateResponse", {**values, "exited_at": timestamp(process.ended)}))

    def wait(self, call: "Call", request: "Request") -> None:
        """Answers when the process has ended."""
        process = self.tasks.process(request)
        if process.status == STOPPED:
            call.answer(exit_of(process, "WaitResponse"))
            return
        process.waiters = [other for other in process.waiters if other.pending] + [call]

    def kill(self, call: "Call", request: "Request") -> None:
        """Sends a signal to one process, or to all processes of a container."""
        process = self.tasks.process(request)
        number = int(request.get("signal", 0))
        if not 0 <= number <= 64:
            raise Failure(INVALID_ARGUMENT, f"no such signal: {number}")
        if process.task.container is None or (process.exec_id and process.status == CREATED):
            process.require(RUNNING, STOPPED, what="kill")
        if process.status == STOPPED and not request.get("all"):
            raise Failure(NOT_FOUND, "process already finished")
        if process.exec_id:
            from pyrunc.linux.pidfd import send_by

            try:
                send_by(self.children.pidfd(process.pid), number)
            except OSError:
                raise Failure(NOT_FOUND, "process already finished") from None
            call.answer(b"")
        elif request.get("all"):
            container = process.task.live()
            self._work(call, lambda: container.signal(number, everyone=True), _empty)
        else:
            process.task.live().signal(number)
            call.answer(b"")

    def pids(self, call: "Call", request: "Request") -> None:
        """Answers with all processes of a container, and the exec ids of those that have one."""
        task = self.tasks.task(request)
        container = task.live()

        def found(pids: "list[int]") -> bytes:
            added = {process.pid: name for name, process in task.processes.items() if name}
            processes: list[dict[str, Any]] = []
            for pid in pids:
                details = encode("ProcessDetails", {"exec_id": added[pid]}) if pid in added else b""
                info = any_of("containerd.runc.v1.ProcessDetails", details) if details else None
                processes.append({"pid": pid, "info": info})
            return encode("PidsResponse", {"processes": processes})

        self._work(call, container.processes, found)

    def pause(self, call: "Call", request: "Request") -> None:
        """Freezes a container."""
        task = self.tasks.task(request)
        check = lambda: task.init.require(RUNNING, what="pause")  # noqa: E731
        then = lambda _: self._told("TaskPaused", task)  # noqa: E731
        self._work(call, task.live().pause, then, "OCI runtime pause failed", process=task.init, check=check)

    def resume(self, call: "Call", request: "Request") -> None:
        """Thaws a container."""
        task = self.tasks.task(request)
        then = lambda _: self._told("TaskResumed", task)  # noqa: E731
        self._work(call, task.live().resume, then, "OCI runtime resume failed", process=task.init)

    def _told(self, message: str, task: Task) -> bytes:
        self.events.publish(message, container_id=task.id)
        return b""

    def update(self, call: "Call", request: "Request") -> None:
        """Changes the container's limits."""
        task = self.tasks.task(request)
        container, resources = task.live(), json_of(request.get("resources"), "LinuxResources")
        self._work(call, lambda: container.update(resources), _empty, "OCI runtime update failed", process=task.init)

    def checkpoint(self, call: "Call", request: "Request") -> None:
        """Writes a checkpoint of the container to a directory."""
        task = self.tasks.task(request)
        given = request.get("options") or {}
        legacy = str(given.get("type_url", "")).endswith("containerd.linux.runc.CheckpointOptions")
        options = decode("LegacyCheckpointOptions" if legacy else "CheckpointOptions", given.get("value", b""))
        path = str(options.get("image_path") or request.get("path", ""))
        chosen = _checkpoint_options({**task.options, **options})
        container = task.live()

        def then(_: "Any") -> bytes:
            self.events.publish("TaskCheckpointed", container_id=task.id, checkpoint=path)
            return b""

        job = lambda: container.checkpoint(path, **chosen)  # noqa: E731
        self._work(call, job, then, "OCI runtime checkpoint failed", process=task.init)

    def resizepty(self, call: "Call", request: "Request") -> None:
        """Sets the size of a terminal."""
        self.tasks.process(request).streams.resize(int(request.get("width", 0)), int(request.get("height", 0)))
        call.answer(b"")

    def closeio(self, call: "Call", request: "Request") -> None:
        """Closes the shim's writer of standard input, so that the process can read end of file."""
        process = self.tasks.process(request)
        if request.get("stdin"):
            process.streams.close_input()
        call.answer(b"")

    def stats(self, call: "Call", request: "Request") -> None:
        """Answers with the counters of the container's cgroups."""
        task = self.tasks.task(request)
        dirs = task.live().cgroups.dirs
        if not dirs:
            raise Failure(NOT_FOUND, "cgroup does not exist")
        from pyrunc.shim.metrics import metrics

        pid = task.init.pid if task.init.status != STOPPED else 0
        then = lambda found: encode("StatsResponse", {"stats": any_of(*found)})  # noqa: E731
        self._work(call, lambda: metrics(dirs, pid), then)

    def connect(self, call: "Call", request: "Request") -> None:
        """Answers with the shim's pid and that of the container's init."""
        task = self.tasks.known.get(str(request.get("id", "")))
        values = {"shim_pid": posix.getpid(), "task_pid": task.init.pid if task is not None else 0}
        call.answer(encode("ConnectResponse", values))

    def shutdown(self, call: "Call", request: "Request") -> None:
        """Ends the shim unless it still has a container."""
        call.answer(b"")
        if self.tasks.empty:
            self.on_shutdown()


def _checkpoint_options(options: "dict[str, Any]") -> "dict[str, Any]":
    """Converts containerd's options to CriuOptions."""
    names = {"open_tcp": "tcp_established", "external_unix_sockets": "ext_unix_sk", "terminal": "shell_job"}
    names |= {"file_locks": "file_locks", "cgroups_mode": "manage_cgroups_mode"}
    chosen = {ours: options[name] for name, ours in names.items() if options.get(name)}
    work = options.get("work_path") or options.get("criu_work_path")
    return {**chosen, "leave_running": not options.get("exit"), **({"work_path": work} if work else {})}


def _empty(_: object) -> bytes:
    return b""
