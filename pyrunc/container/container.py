"""A container, as a library sees it; the command line is its first user. docs/library.md shows it by example.

No global state: one instance, or several of one container, may be used from several threads; what must not happen at
once waits for its turn, also between processes. Every method raises PyruncError, with one line of reason. Times are in
seconds, sizes in bytes, pids in our pid namespace.
"""

import posix

from pyrunc.container import process
from pyrunc.container.state import State, ids
from pyrunc.errors import NoSuchContainer, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from pyrunc.cgroup.freezer import Freezer
    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.exec_process import ExecProcess
    from pyrunc.container.stdio import Stream
    from pyrunc.spec.types import Config, Process, Resources

DEFAULT_ROOT = "/run/pyrunc"
HELPER_NAME = b"pyrunc-init\0"
"""The first argument of the helper (helper.py), and so of an init that has not executed its program yet."""


class Container:
    """One container of the state directory ``root``. Made by ``create``, ``run``, ``restore``, ``load`` and ``all``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._executed: list[ExecProcess] = []

    def __repr__(self) -> str:
        return f"<Container {self.id}>"

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

    @staticmethod
    def matching(pattern: str, root: str = DEFAULT_ROOT) -> "list[str]":
        """The ids below ``root`` that the regular expression finds something in; PyruncError when it is none."""
        import re

        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise PyruncError(f"--regex {pattern!r}: {error}") from None
        return [name for name in ids(root) if expression.search(name)]

    @classmethod
    def create(
        cls,
        container_id: str,
        bundle: str = ".",
        *,
        config: "Config | dict[str, Any] | None" = None,
        root: str = DEFAULT_ROOT,
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        pass_fds: "Sequence[int]" = (),
        **options: "Any",
    ) -> "Container":
        """Creates a container whose init waits for ``start``; init is our child.

        ``bundle``: its directory. ``config``: instead of the bundle's config.json, as JSON has it or as a model.
        ``stdin``, ``stdout``, ``stderr``: descriptors or files, ours unless given; ``pass_fds`` become 3, 4, ...
        ``options`` (of CreateOptions): ``console`` (a connected socket that takes the terminal's master), ``pid_file``,
        ``no_pivot``, ``no_new_keyring``, ``cgroup_manager`` (``cgroupfs``, ``systemd``, ``disabled``), ``trace``.

        Raises ContainerExists, SpecError for a wrong config, StepError for what the kernel refused; nothing is left.
        """
        from pyrunc.container.create import Creation
        from pyrunc.container.options import CreateOptions
        from pyrunc.container.stdio import descriptors

        bundle, root = absolute(bundle), absolute(root)
        standard = descriptors(stdin, stdout, stderr, pass_fds)
        chosen = CreateOptions(root=root, bundle=bundle, stdio=standard, preserve_fds=len(pass_fds), **options)
        Creation(container_id, _spec(bundle, config), chosen).make()
        return cls.load(container_id, root)

    @classmethod
    def run(cls, container_id: str, bundle: str = ".", **options: "Any") -> "Container":
        """Creates and starts a container in one; all as for ``create``. ``wait`` has its exit status."""
        return cls.create(container_id, bundle, run=True, **options)

    @classmethod
    def restore(
        cls,
        container_id: str,
        bundle: str = ".",
        *,
        image_path: str,
        config: "Config | dict[str, Any] | None" = None,
        root: str = DEFAULT_ROOT,
        creating: "Mapping[str, Any] | None" = None,
        **options: "Any",
    ) -> "Container":
        """Brings back with CRIU what ``checkpoint`` wrote to ``image_path``; init is our child.

        ``creating``: options as of ``create``; ``options`` as of CriuOptions. On failure nothing is left.
        """
        from pyrunc.container.options import CreateOptions
        from pyrunc.criu.options import CriuOptions
        from pyrunc.criu.restore import Restoration

        bundle, root = absolute(bundle), absolute(root)
        chosen = CreateOptions(root=root, bundle=bundle, **(creating or {}))
        criu = CriuOptions(image_path=absolute(image_path), **options)
        Restoration(container_id, _spec(bundle, config), chosen, criu).make()
        return cls.load(container_id, root)

    @classmethod
    def remove(cls, container_id: str, root: str = DEFAULT_ROOT) -> None:
        """Removes whatever there is of ``container_id``, running or half made; nothing at all is fine."""
        try:
            cls.load(container_id, root).destroy(force=True)
        except NoSuchContainer:
            from pyrunc.container.delete import remove_leftover

            remove_leftover(root, container_id)

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
            self._try_refresh()
        if not self._init:
            # Its creator holds the lock for as long as it lives.
            return "creating" if self._locked() else "stopped"
        if not self._alive:
            return "stopped"
        if self._state.data["cgroups"] and self.freezer.frozen:
            return "paused"  # also when it is created: `start` would wait for an init that can't answer
        return "created" if self._waits_for_start() else "running"

    def _waits_for_start(self) -> bool:
        try:
            posix.stat(self._state.socket)
            # A `start` that was killed right behind its word has left the socket.
            return process.read(f"/proc/{self._init}/cmdline").startswith(HELPER_NAME)
        except OSError:
            return False

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

    def refresh(self) -> None:
        """Reads again what is stored, for what others changed by ``update``; NoSuchContainer when they removed it."""
        apart = self._apart()
        apart._state.reload()
        self._state.data = apart._state.data

    def _try_refresh(self) -> None:
        try:
            self.refresh()
        except PyruncError:
            pass  # what was known of it holds

    def _apart(self) -> "Container":
        """The same container once more: the lock that is taken through it is the calling thread's own."""
        state = State(self._state.directory.rpartition("/")[0], self.id)
        state.data = self._state.data  # read again as soon as the lock is held
        apart = type(self)(state)
        apart._executed = self._executed
        return apart

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

    def start(self, notify_socket: str = "") -> None:
        """Lets init execute the user's program; returns when it does.

        ``notify_socket``: path of a service manager's socket, to be told when the program is ready (sd_notify(3)), if
        the container was created with one; then it returns when that was said.
        """
        from pyrunc.container import start

        apart = self._apart()
        start.start(apart, apart._state, notify_socket)

    def signal(self, signal: "int | str", everyone: bool = False) -> None:
        """Sends a signal (``9``, ``signal.SIGTERM``, ``"TERM"``) to init; NotRunning when it has ended.

        ``everyone``: to every process, also when init has ended; with SIGKILL it returns when all have.
        """
        from pyrunc.container import kill
        from pyrunc.container.signals import number

        kill.kill(self, number(signal), everyone)

    def processes(self) -> "list[int]":
        """Pids of all processes, ascending, in our pid namespace."""
        if not self._state.data["cgroups"]:
            return [self._init] if self._alive else []
        return sorted(self.cgroups.pids())

    def pause(self) -> None:
        """Freezes every process; returns when they are."""
        from pyrunc.container import pause

        apart = self._apart()
        pause.pause(apart, apart._state)

    def resume(self) -> None:
        """Thaws every process."""
        from pyrunc.container import pause

        apart = self._apart()
        pause.resume(apart, apart._state)

    def update(self, resources: "Resources | dict[str, Any]") -> None:
        """Changes limits of the running container, and the stored config; ``resources`` (linux.resources) as JSON has
        them or as a model. Absent or 0 leaves a limit alone, -1 lifts it. When one is refused, none is changed."""
        from pyrunc.container import update
        from pyrunc.spec.load import raw

        apart = self._apart()
        update.update(apart, apart._state, dict(resources) if isinstance(resources, dict) else raw(resources))
        self._state.data = apart._state.data

    def stats(self) -> "dict[str, Any]":
        """What ``events --stats`` prints under ``data``: bytes, nanoseconds, counts."""
        from pyrunc.container import events

        return events.stats(self)

    def events(self, interval: float = 5.0) -> "Iterator[dict[str, Any]]":
        """``{"type": "stats"|"oom", "id": ..., "data": ...}`` every ``interval`` seconds, until it has ended."""
        from pyrunc.container import events

        return events.events(self, interval)

    def exec(
        self,
        args: "Sequence[str]" = (),
        *,
        process: "Process | dict[str, Any] | None" = None,
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        pass_fds: "Sequence[int]" = (),
        console: int = -1,
        pid_file: str = "",
        cgroup: "Sequence[str]" = (),
        ignore_paused: bool = False,
        **changes: "Any",
    ) -> "ExecProcess":
        """Executes ``args`` in the container, as its own process but for ``changes``; returns when the program runs.

        ``changes`` (of ``another.process_of``): ``env`` (mapping or ``NAME=value``), ``cwd``, ``user`` (``UID`` or
        ``UID:GID``), ``additional_gids``, ``terminal``, ``capabilities``, ``no_new_privileges``, ``selinux_label``,
        ``apparmor_profile``. ``process``: a whole one of the spec instead of ``args`` and ``changes``. The standard
        descriptors as for ``create``. ``console``: a connected socket that takes the terminal's master. ``cgroup``: one
        below the container's (``[CTRL:]PATH``, several for several controllers). Raises WrongStatus, SpecError,
        StepError (its ``errno`` says why it can't be executed).
        """
        from pyrunc.container.another import given_process, process_of
        from pyrunc.container.exec_process import ExecProcess
        from pyrunc.container.execute import launch
        from pyrunc.container.options import ExecOptions
        from pyrunc.container.stdio import descriptors

        options = ExecOptions(console=console, pid_file=pid_file, cgroup=cgroup, ignore_paused=ignore_paused)
        options.stdio, options.preserve_fds = descriptors(stdin, stdout, stderr, pass_fds), len(pass_fds)
        wanted = process_of(self, args, **changes) if process is None else given_process(process)
        started = ExecProcess(launch(self, wanted, options))
        self._executed = [other for other in self._executed if other.poll() is None] + [started]
        return started

    def checkpoint(self, image_path: str, **options: "Any") -> None:
        """Writes it to the directory ``image_path`` with CRIU; it is gone then, unless ``leave_running`` or
        ``pre_dump``. ``options`` as of CriuOptions. After a failure it runs on."""
        from pyrunc.criu import checkpoint
        from pyrunc.criu.options import CriuOptions

        apart = self._apart()
        checkpoint.checkpoint(apart, apart._state, CriuOptions(image_path=absolute(image_path), **options))

    def wait(self, timeout: "float | None" = None) -> "int | None":
        """Waits until init has ended; its exit status, 128 + n when signal n ended it.

        None when it was not our child: only its parent is told. As often asked as you like, by any thread: the status
        is kept until ``destroy``. TimeoutError when ``timeout`` seconds passed first.
        """
        from pyrunc.container.exec_process import wait_for_init

        started = int(self._state.data["start_time"])
        if not wait_for_init(self._init, started, self._executed, timeout):
            raise TimeoutError(f"container {self.id} runs on after {timeout:g} s")
        return process.status_of(self._init, started)

    def destroy(self, force: bool = False) -> None:
        """Removes cgroups and state of a stopped container, after ``poststop`` hooks; ``force`` kills it first.

        Processes of it that were our children are reaped, those of ``exec`` where this instance started them.
        Raises WrongStatus when it runs and ``force`` is not given.
        """
        from pyrunc.container import delete

        apart = self._apart()
        delete.delete(apart, apart._state, force)


def _spec(bundle: str, config: "Config | dict[str, Any] | None") -> "Config":
    """Checked, wherever it comes from."""
    from pyrunc.spec.load import config_from, load, raw

    if config is None:
        return load(f"{bundle}/config.json")
    return config_from(config if isinstance(config, dict) else raw(config))


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
