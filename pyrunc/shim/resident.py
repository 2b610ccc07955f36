"""The blocking operations on containers, which workers execute. Nothing here touches data that the loop's thread
owns."""

from pyrunc.api import Container
from pyrunc.shim import leftovers, rootfs, runtime_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.shim.streams import Streams
    from pyrunc.shim.tasks import Process, Task


class Resident(Container):
    """A container whose processes are child processes of the shim. Only the shim's loop reaps them (children.py)."""

    _reaps = False


class Workshop:
    """Creates and changes containers. ``namespace``: containerd's."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def create(self, task: "Task", streams: "Streams", mounts: "list[dict[str, Any]]") -> "Resident | None":
        """Creates the container. Returns None if Start will restore it. After a failure nothing is left."""
        leftovers.forget(task.bundle)
        try:
            if task.options:
                runtime_options.remember(task.bundle, task.options)
            rootfs.mount_all(mounts, task.rootfs)
            if task.checkpoint:
                return None
            return self._launch(streams, task, lambda: self._create(task, streams))  # type: ignore[no-any-return]
        except BaseException:
            if mounts:
                rootfs.unmount_all(task.rootfs)
            raise

    def _create(self, task: "Task", streams: "Streams") -> Resident:
        options = self.options(task, streams)
        return Resident.create(task.id, task.bundle, root=self.root(task), **standard(streams), **options)

    def _launch(self, streams: "Streams", task: "Task", make: "Any") -> "Any":
        streams.open(self.owner(task), self.names(task))
        try:
            made = make()
            streams.launched()
            streams.take_master()
            return made
        except BaseException:
            streams.abandon()
            raise

    def start(self, task: "Task", streams: "Streams") -> "Resident":
        """Lets init execute its program, or restores a checkpoint."""
        if task.container is None:
            return self._launch(streams, task, lambda: self._restore(task, streams))  # type: ignore[no-any-return]
        task.container.start()
        return task.container  # type: ignore[return-value]

    def _restore(self, task: "Task", streams: "Streams") -> "Resident":
        creating = {**self.options(task, streams), "stdio": tuple(streams.given)}
        image, work = task.options.get("criu_image_path") or task.checkpoint, task.options.get("criu_work_path")
        more = {"work_path": work} if work else {}
        return Resident.restore(task.id, task.bundle, image_path=image, root=self.root(task), creating=creating, **more)

    def execute(self, process: "Process") -> int:
        """Executes a process that Exec has added. Returns its pid."""
        task, streams = process.task, process.streams
        container = task.live()

        def run() -> int:
            console: dict[str, Any] = {"console": streams.console} if streams.terminal else {}
            return container.exec(process=process.spec, **standard(streams), **console).pid

        return self._launch(streams, task, run)  # type: ignore[no-any-return]

    def delete(self, task: "Task", force: bool) -> None:
        """Removes a stopped container and its mounts. ``force``: also one that was never started."""
        if task.container is not None:
            task.container.destroy(force)
        if task.mounted:
            rootfs.unmount_all(task.rootfs)

    def root(self, task: "Task") -> str:
        """Returns the directory that contains the container's state directory."""
        return runtime_options.state_root(task.options, self.namespace)

    def options(self, task: "Task", streams: "Streams") -> "dict[str, Any]":
        """Returns CreateOptions of the container."""
        options = task.options
        return {
            "cgroup_manager": "systemd" if options.get("systemd_cgroup") else "cgroupfs",
            "no_pivot": bool(options.get("no_pivot_root")),
            "no_new_keyring": bool(options.get("no_new_keyring")),
            "console": streams.console,
        }

    def owner(self, task: "Task") -> "tuple[int, int] | None":
        """Returns (IoUid, IoGid), None if they are not set."""
        uid, gid = int(task.options.get("io_uid", 0)), int(task.options.get("io_gid", 0))
        return (uid, gid) if uid or gid else None

    def names(self, task: "Task") -> "dict[str, str]":
        """Returns the environment of a logger."""
        return {"CONTAINER_ID": task.id, "CONTAINER_NAMESPACE": self.namespace}


def standard(streams: "Streams") -> "dict[str, Any]":
    """Returns the standard streams as arguments of the library. A process with a terminal gets /dev/null at first."""
    return dict(zip(("stdin", "stdout", "stderr"), streams.given, strict=False))
