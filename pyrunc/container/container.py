"""A container, as a library sees it; the command line is its first user.

    from pyrunc import Container

    container = Container.create("web", "/srv/web")
    container.start()
    container.exec(["date"]).wait()
    container.destroy(force=True)

No global state: instances may be used from several threads. Every method raises PyruncError with one line of reason.
"""

import posix

from pyrunc.container import process
from pyrunc.container.state import State, ids
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pyrunc.cgroup.freezer import Freezer
    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.spec.types import Config

DEFAULT_ROOT = "/run/pyrunc"
SIGKILL = 9


class Container:
    """One container of the state directory ``root``."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- finding and making ------------------------------------------------------------------------------------

    @classmethod
    def load(cls, container_id: str, root: str = DEFAULT_ROOT) -> "Container":
        """An existing container; NoSuchContainer when there is none."""
        return cls(State.load(root, container_id))

    @classmethod
    def all(cls, root: str = DEFAULT_ROOT) -> "list[Container]":
        """Every container below ``root``; one whose state can't be read is left out."""
        found = []
        for container_id in ids(root):
            try:
                found.append(cls.load(container_id, root))
            except PyruncError:
                continue
        return found

    @classmethod
    def create(
        cls,
        container_id: str,
        bundle: str = ".",
        *,
        root: str = DEFAULT_ROOT,
        config: "Config | None" = None,
        **options: "Any",
    ) -> "Container":
        """Creates a container whose init waits for ``start``.

        ``config``: instead of the bundle's config.json; ``options`` as of CreateOptions. Raises SpecError for a
        wrong config, StepError for what the kernel refused; then nothing is left.
        """
        from pyrunc.container.create import Creation
        from pyrunc.container.options import CreateOptions
        from pyrunc.spec.load import load

        bundle = absolute(bundle)
        spec = config if config is not None else load(f"{bundle}/config.json")
        Creation(container_id, spec, CreateOptions(root=root, bundle=bundle, **options)).make()
        return cls.load(container_id, root)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._state.container_id

    @property
    def pid(self) -> int:
        """Of init, in our pid namespace; 0 when it has ended."""
        return self._init if self._alive else 0

    @property
    def bundle(self) -> str:
        return str(self._state.data["bundle"])

    @property
    def rootfs(self) -> str:
        return str(self._state.data["rootfs"])

    @property
    def created(self) -> str:
        """RFC 3339."""
        return str(self._state.data["created"])

    @property
    def owner(self) -> int:
        """The uid that created it."""
        return int(self._state.data["owner"])

    @property
    def annotations(self) -> "dict[str, str]":
        return dict(self._state.data["annotations"])

    @property
    def config(self) -> "Config":
        """The config that it was created from, with what ``update`` changed."""
        from pyrunc.spec.load import restore

        return restore(self._state.data["config"])

    @property
    def cgroups(self) -> "Cgroups":
        """Its cgroups; empty when they are disabled."""
        from pyrunc.cgroup.manager import Cgroups

        return Cgroups(self._state.data["cgroups"])

    @property
    def freezer(self) -> "Freezer":
        """What pauses it."""
        from pyrunc.cgroup.freezer import Freezer

        return Freezer(self._state.data["cgroups"])

    @property
    def status(self) -> str:
        """``creating``, ``created``, ``running``, ``paused`` or ``stopped``."""
        if not self._init:
            # Its creator holds the lock for as long as it lives.
            return "creating" if self._locked() else "stopped"
        if not self._alive:
            return "stopped"
        try:
            posix.stat(self._state.socket)
            return "created"
        except FileNotFoundError:
            pass
        return "paused" if self._state.data["cgroups"] and self.freezer.frozen else "running"

    def state(self) -> "dict[str, Any]":
        """The spec's state (runtime.md "State") and the properties that runc adds."""
        status = self.status
        state: dict[str, Any] = {
            "ociVersion": self._state.data["version"],
            "id": self.id,
            "pid": 0 if status == "stopped" else self._init,
            "status": status,
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
        }
        if self.annotations:
            state["annotations"] = self.annotations
        state["owner"] = _user_name(self.owner)
        return state

    @property
    def _init(self) -> int:
        return int(self._state.data["pid"])

    @property
    def _alive(self) -> bool:
        return process.alive(self._init, int(self._state.data["start_time"]))

    def _locked(self) -> bool:
        import fcntl

        try:
            descriptor = posix.open(self._state.directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            posix.close(descriptor)

    # -- its life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Lets init execute the user's program; returns when it does."""
        from pyrunc.container import start

        start.start(self, self._state)

    def signal(self, number: int, everyone: bool = False) -> None:
        """Sends a signal to init; ``everyone``: to every process, also when init has ended."""
        from pyrunc.container import kill

        kill.kill(self, number, everyone)

    def processes(self) -> "list[int]":
        """Pids of all processes, ascending, in our pid namespace."""
        if not self._state.data["cgroups"]:
            return [self._init] if self._alive else []
        return sorted(self.cgroups.pids())

    def pause(self) -> None:
        """Freezes every process; returns when they are."""
        from pyrunc.container import pause

        pause.pause(self)

    def resume(self) -> None:
        """Thaws every process."""
        from pyrunc.container import pause

        pause.resume(self)

    def update(self, resources: "dict[str, Any]") -> None:
        """Changes limits of the running container, and the stored config; ``resources`` as JSON has them."""
        from pyrunc.container import update

        update.update(self, self._state, resources)

    def stats(self) -> "dict[str, Any]":
        """What ``events --stats`` prints under ``data``: bytes, nanoseconds, counts."""
        from pyrunc.container import events

        return events.stats(self)

    def events(self, interval: float = 5.0) -> "Iterator[dict[str, Any]]":
        """``{"type": "stats"|"oom", "id": ..., "data": ...}`` every ``interval`` seconds, until it has ended."""
        from pyrunc.container import events

        return events.events(self, interval)

    def exec(self, args: "Sequence[str]", **options: "Any") -> "Any":
        """Executes ``args`` in the container, with config.json's process for the rest; returns the ExecProcess."""
        from pyrunc.container import execute

        return execute.execute(self, args, **options)

    def checkpoint(self, image_path: str, **options: "Any") -> None:
        """Writes it to the directory ``image_path`` with CRIU; it is gone then, unless ``leave_running`` or
        ``pre_dump``. ``options`` as of CriuOptions. After a failure it runs on."""
        from pyrunc.criu import checkpoint
        from pyrunc.criu.options import CriuOptions

        checkpoint.checkpoint(self, self._state, CriuOptions(image_path=absolute(image_path), **options))

    def wait(self, timeout: "float | None" = None) -> bool:
        """Waits until init has ended; False when ``timeout`` seconds passed first."""
        import select

        descriptor = process.pidfd(self._init, int(self._state.data["start_time"]))
        if descriptor < 0:
            return True
        try:
            return bool(select.select([descriptor], [], [], timeout)[0])
        finally:
            posix.close(descriptor)

    def destroy(self, force: bool = False) -> None:
        """Removes cgroups and state of a stopped container, after ``poststop`` hooks; ``force`` kills it first."""
        from pyrunc.container import delete

        delete.delete(self, self._state, force)


def absolute(path: str) -> str:
    """``path`` from the root, cleaned of ``.`` and double slashes (``..`` is the kernel's to resolve)."""
    whole = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))


def _user_name(uid: int) -> str:
    """As runc looks it up: in the file. The C library would load its name services for it."""
    try:
        lines = process.read("/etc/passwd").decode("utf-8", "surrogateescape").split("\n")
    except OSError:
        lines = []
    return next((line.split(":")[0] for line in lines if line.split(":")[2:3] == [str(uid)]), str(uid))
