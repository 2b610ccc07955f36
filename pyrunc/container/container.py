"""A container, as a library sees it; the command line is its first user. docs/library.md shows it by example.

No global state: one instance, or several of one container, may be used from several threads; what must not happen at
once waits for its turn, also between processes. Every method raises PyruncError, with one line of reason. Times are in
seconds, sizes in bytes, pids in our pid namespace.
"""

from pyrunc.container.record import Record
from pyrunc.container.store import ids, matching
from pyrunc.errors import PyruncError
from pyrunc.linux.files import absolute
from pyrunc.linux.runtime_directory import DEFAULT_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Self

    from pyrunc.cgroup.freezer import Freezer
    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.exec_process import ExecProcess
    from pyrunc.container.stdio import Stream
    from pyrunc.spec.types import Config, Process, Resources


class Container:
    """One container of the state directory ``root``. Made by ``create``, ``run``, ``restore``, ``load`` and ``all``."""

    _reaps = True
    """Whether its processes that are our children are reaped here; False where the program does that itself (shim)."""

    def __init__(self, record: Record) -> None:
        record.reaps = self._reaps
        self._record = record

    def __repr__(self) -> str:
        return f"<Container {self.id}>"

    # -- finding and making ------------------------------------------------------------------------------------

    @classmethod
    def load(cls, container_id: str, root: str = DEFAULT_ROOT) -> "Self":
        """An existing container; NoSuchContainer when there is none."""
        return cls(Record.load(root, container_id))

    @classmethod
    def all(cls, root: str = DEFAULT_ROOT) -> "list[Self]":
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
        return matching(root, pattern)

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
    ) -> "Self":
        """Creates a container whose init waits for ``start``; init is our child.

        ``bundle``: its directory. ``config``: instead of the bundle's config.json, as JSON has it or as a model.
        ``stdin``, ``stdout``, ``stderr``: descriptors or files, ours unless given; ``pass_fds`` become 3, 4, ...
        ``options`` (of CreateOptions): ``console`` (a connected socket that takes the terminal's master), ``pid_file``,
        ``no_pivot``, ``no_new_keyring``, ``cgroup_manager`` (``cgroupfs``, ``systemd``, ``disabled``), ``trace``,
        ``trace_format`` (``json``, ``chrome``).

        Raises ContainerExists, SpecError for a wrong config, StepError for what the kernel refused; nothing is left.
        """
        from pyrunc.container.create import Creation
        from pyrunc.container.stdio import descriptors
        from pyrunc.plan.options import CreateOptions

        bundle, root = absolute(bundle), absolute(root)
        standard = descriptors(stdin, stdout, stderr, pass_fds)
        chosen = CreateOptions(root=root, bundle=bundle, stdio=standard, preserve_fds=len(pass_fds), **options)
        Creation(container_id, spec_of(bundle, config), chosen).make()
        return cls.load(container_id, root)

    @classmethod
    def run(cls, container_id: str, bundle: str = ".", **options: "Any") -> "Self":
        """Creates and starts a container in one; all as for ``create``. ``wait`` has its exit status."""
        return cls.create(container_id, bundle, run=True, **options)

    @classmethod
    def remove(cls, container_id: str, root: str = DEFAULT_ROOT) -> None:
        """Removes whatever there is of ``container_id``, running or half made; nothing at all is fine."""
        from pyrunc.container.delete import remove

        remove(root, container_id)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def pid(self) -> int:
        """Of init, in our pid namespace; 0 when it has ended."""
        return self._record.pid

    @property
    def init_pid(self) -> int:
        """Of init, in our pid namespace, also when it has ended."""
        return self._record.state.pid

    @property
    def bundle(self) -> str:
        return self._record.state.bundle

    @property
    def rootfs(self) -> str:
        return self._record.state.rootfs

    @property
    def created(self) -> str:
        """RFC 3339."""
        return self._record.state.created

    @property
    def owner(self) -> int:
        """The uid that created it."""
        return self._record.state.owner

    @property
    def annotations(self) -> "dict[str, str]":
        return dict(self._record.state.annotations)

    @property
    def own_pid_namespace(self) -> bool:
        """Whether it has one: then the end of its init is the end of all its processes (pid_namespaces(7))."""
        namespaces = self._record.state.config.get("linux", {}).get("namespaces", ())
        return any(namespace["type"] == "pid" and not namespace.get("path") for namespace in namespaces)

    @property
    def config(self) -> "Config":
        """The config that it was created from, with what ``update`` changed."""
        return self._record.config

    @property
    def cgroups(self) -> "Cgroups":
        """Its cgroups; empty when they are disabled."""
        return self._record.cgroups

    @property
    def freezer(self) -> "Freezer":
        """What pauses it."""
        return self._record.freezer

    @property
    def status(self) -> str:
        """``creating``, ``created``, ``running``, ``paused`` or ``stopped``."""
        return self._record.status

    def state(self) -> "dict[str, Any]":
        """The spec's state (runtime.md "State") and the properties that runc adds."""
        return self._record.as_state()

    def refresh(self) -> None:
        """Reads again what is stored, for what others changed by ``update``; NoSuchContainer when they removed it."""
        apart = self._record.apart()
        apart.reload()
        self._record.state = apart.state

    # -- its life ----------------------------------------------------------------------------------------------

    def start(self, notify_socket: str = "") -> None:
        """Lets init execute the user's program; returns when it does.

        ``notify_socket``: path of a service manager's socket, to be told when the program is ready (sd_notify(3)), if
        the container was created with one; then it returns when that was said.
        """
        from pyrunc.container import start

        start.start(self._record.apart(), notify_socket)

    def signal(self, signal: "int | str", everyone: bool = False) -> None:
        """Sends a signal (``9``, ``signal.SIGTERM``, ``"TERM"``) to init; NotRunning when it has ended.

        ``everyone``: to every process, also when init has ended; with SIGKILL it returns when all have.
        """
        from pyrunc.container import kill
        from pyrunc.linux.signals import number

        kill.kill(self._record, number(signal), everyone)

    def processes(self) -> "list[int]":
        """Pids of all processes, ascending, in our pid namespace."""
        if not self._record.state.cgroups:
            return [self._record.pid] if self._record.alive else []
        return sorted(self.cgroups.pids())

    def pause(self) -> None:
        """Freezes every process; returns when they are."""
        from pyrunc.container import pause

        pause.pause(self._record.apart())

    def resume(self) -> None:
        """Thaws every process."""
        from pyrunc.container import pause

        pause.resume(self._record.apart())

    def update(self, resources: "Resources | dict[str, Any]") -> None:
        """Changes limits of the running container, and the stored config; ``resources`` (linux.resources) as JSON has
        them or as a model. Absent or 0 leaves a limit alone, -1 lifts it. When one is refused, none is changed."""
        from pyrunc.container import update
        from pyrunc.spec.load import raw

        apart = self._record.apart()
        update.update(apart, dict(resources) if isinstance(resources, dict) else raw(resources))
        self._record.state = apart.state

    def stats(self) -> "dict[str, Any]":
        """What ``events --stats`` prints under ``data``: bytes, nanoseconds, counts."""
        from pyrunc.container import events

        return events.stats(self._record)

    def events(self, interval: float = 5.0) -> "Iterator[dict[str, Any]]":
        """``{"type": "stats"|"oom", "id": ..., "data": ...}`` every ``interval`` seconds, until it has ended."""
        from pyrunc.container import events

        return events.events(self._record, interval)

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

        ``changes`` (process_config.process_of): ``env`` (mapping or ``NAME=value``), ``cwd``, ``user`` (``UID`` or
        ``UID:GID``), ``additional_gids``, ``terminal``, ``capabilities``, ``no_new_privileges``, ``selinux_label``,
        ``apparmor_profile``. ``process``: a whole one of the spec instead of ``args`` and ``changes``. The standard
        descriptors as for ``create``. ``console``: a connected socket that takes the terminal's master. ``cgroup``: one
        below the container's (``[CTRL:]PATH``, several for several controllers). Raises WrongStatus, SpecError,
        StepError (its ``errno`` says why it can't be executed).
        """
        from pyrunc.container.exec import launch
        from pyrunc.container.exec_process import ExecProcess
        from pyrunc.container.process_config import given_process, process_of
        from pyrunc.container.stdio import descriptors
        from pyrunc.plan.options import ExecOptions

        options = ExecOptions(console=console, pid_file=pid_file, cgroup=cgroup, ignore_paused=ignore_paused)
        options.stdio, options.preserve_fds = descriptors(stdin, stdout, stderr, pass_fds), len(pass_fds)
        wanted = process_of(self._record, args, **changes) if process is None else given_process(self._record, process)
        started = ExecProcess(launch(self._record, wanted, options))
        if self._reaps:
            children = self._record.executed
            children[:] = [*(other for other in children if other.poll() is None), started]
        return started

    def wait(self, timeout: "float | None" = None) -> "int | None":
        """Waits until init has ended; its exit status, 128 + n when signal n ended it.

        None when it was not our child: the kernel tells the parent only. As often asked as you like, by any thread: the
        status is kept until ``destroy``. TimeoutError when ``timeout`` seconds passed first.
        """
        from pyrunc.container.exec_process import wait_for_init

        state = self._record.state
        if not wait_for_init(state.pid, state.start_time, self._record.executed, timeout):
            raise TimeoutError(f"container {self.id} runs on after {timeout:g} s")
        from pyrunc.linux import wait_status

        return wait_status.status_of(state.pid, state.start_time)

    def destroy(self, force: bool = False) -> None:
        """Removes cgroups and state of a stopped container, after ``poststop`` hooks; ``force`` kills it first.

        Processes of it that were our children are reaped, those of ``exec`` where this instance started them.
        Raises WrongStatus when it runs and ``force`` is not given.
        """
        from pyrunc.container import delete

        delete.delete(self._record.apart(), force)


def spec_of(bundle: str, config: "Config | dict[str, Any] | None") -> "Config":
    """The bundle's config, or the one given, checked."""
    from pyrunc.spec.load import config_from, load, raw

    if config is None:
        return load(f"{bundle}/config.json")
    return config_from(config if isinstance(config, dict) else raw(config))
