"""The class ``Container`` of the library, which the command line uses, too. docs/library.md has examples.

There is no global state. One instance, or several of the same container, may be used from several threads. Operations
that must not overlap wait for each other, also between processes. Every method may raise PyruncError, whose message is
one line. Times are in seconds, sizes in bytes, and pids in the pid namespace of this process.
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
    """A container of the state directory ``root``. Made by ``create``, ``run``, ``restore``, ``load`` and ``all``."""

    _reaps = True
    """Whether pyrunc reaps the container's processes that are child processes of this process. False if the program
    does it (shim)."""

    def __init__(self, record: Record) -> None:
        record.reaps = self._reaps
        self._record = record

    def __repr__(self) -> str:
        return f"<Container {self.id}>"

    # -- finding and making ------------------------------------------------------------------------------------

    @classmethod
    def load(cls, container_id: str, root: str = DEFAULT_ROOT) -> "Self":
        """Returns an existing container. NoSuchContainer if it does not exist."""
        return cls(Record.load(root, container_id))

    @classmethod
    def all(cls, root: str = DEFAULT_ROOT) -> "list[Self]":
        """Returns every container below ``root``, except for those whose state cannot be read."""
        found = []
        for container_id in ids(root):
            try:
                found.append(cls.load(container_id, root))
            except PyruncError:
                continue
        return found

    @staticmethod
    def matching(pattern: str, root: str = DEFAULT_ROOT) -> "list[str]":
        """Returns the ids below ``root`` in which the regular expression matches. PyruncError if it is not valid."""
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
        """Creates a container whose init waits for ``start``. Init is a child process of this process.

        ``bundle``: the bundle's directory. ``config``: used instead of the bundle's config.json, as a JSON object or a
        model. ``stdin``, ``stdout``, ``stderr``: descriptors or files; the default is those of this process.
        ``pass_fds``: descriptors that become 3, 4, ... in the container.
        ``options`` (of CreateOptions): ``console`` (a connected socket that receives the terminal's master),
        ``pid_file``, ``no_pivot``, ``no_new_keyring``, ``cgroup_manager`` (``cgroupfs``, ``systemd``, ``disabled``),
        ``trace``, ``trace_format`` (``json``, ``chrome``).

        Raises ContainerExists, SpecError if the config is wrong, or StepError if the kernel refuses a step. After an
        error create() has removed everything that it made.
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
        """Creates and starts a container. The arguments are those of ``create``. ``wait`` returns its exit status."""
        return cls.create(container_id, bundle, run=True, **options)

    @classmethod
    def remove(cls, container_id: str, root: str = DEFAULT_ROOT) -> None:
        """Removes the container ``container_id``, even if it is running or incomplete. Ignores one that does not
        exist."""
        from pyrunc.container.delete import remove

        remove(root, container_id)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def pid(self) -> int:
        """The pid of init in this process's pid namespace, 0 if init has ended."""
        return self._record.pid

    @property
    def init_pid(self) -> int:
        """The pid of init in this process's pid namespace, even if init has ended."""
        return self._record.state.pid

    @property
    def bundle(self) -> str:
        return self._record.state.bundle

    @property
    def rootfs(self) -> str:
        return self._record.state.rootfs

    @property
    def created(self) -> str:
        """The time of creation, in the format of RFC 3339."""
        return self._record.state.created

    @property
    def owner(self) -> int:
        """The uid of the user who created the container."""
        return self._record.state.owner

    @property
    def annotations(self) -> "dict[str, str]":
        return dict(self._record.state.annotations)

    @property
    def own_pid_namespace(self) -> bool:
        """Whether the container has its own pid namespace. If so, all its processes end with init
        (pid_namespaces(7))."""
        namespaces = self._record.state.config.get("linux", {}).get("namespaces", ())
        return any(namespace["type"] == "pid" and not namespace.get("path") for namespace in namespaces)

    @property
    def config(self) -> "Config":
        """The config that the container was created from, with the changes by ``update``."""
        return self._record.config

    @property
    def cgroups(self) -> "Cgroups":
        """The container's cgroups; empty if cgroups are disabled."""
        return self._record.cgroups

    @property
    def freezer(self) -> "Freezer":
        """The freezer that pauses the container."""
        return self._record.freezer

    @property
    def status(self) -> str:
        """``creating``, ``created``, ``running``, ``paused`` or ``stopped``."""
        return self._record.status

    def state(self) -> "dict[str, Any]":
        """Returns the spec's state (runtime.md "State") with the properties that runc adds."""
        return self._record.as_state()

    def refresh(self) -> None:
        """Reads the stored state again, with the changes that others made by ``update``. NoSuchContainer if the
        container has been removed."""
        apart = self._record.apart()
        apart.reload()
        self._record.state = apart.state

    # -- its life ----------------------------------------------------------------------------------------------

    def start(self, notify_socket: str = "") -> None:
        """Lets init execute the user's program; returns when the program has been executed.

        ``notify_socket``: the path of a service manager's socket, which is notified when the program is ready
        (sd_notify(3)). It has an effect only if the container was created with one. The method then returns after the
        notification.
        """
        from pyrunc.container import start

        start.start(self._record.apart(), notify_socket)

    def signal(self, signal: "int | str", everyone: bool = False) -> None:
        """Sends a signal (``9``, ``signal.SIGTERM``, ``"TERM"``) to init. NotRunning if init has ended.

        ``everyone``: sends it to every process, even if init has ended. With SIGKILL the method returns when all
        processes have ended.
        """
        from pyrunc.container import kill
        from pyrunc.linux.signals import number

        kill.kill(self._record, number(signal), everyone)

    def processes(self) -> "list[int]":
        """Returns the pids of all processes, ascending, in this process's pid namespace."""
        if not self._record.state.cgroups:
            return [self._record.pid] if self._record.alive else []
        return sorted(self.cgroups.pids())

    def pause(self) -> None:
        """Freezes every process; returns when all are frozen."""
        from pyrunc.container import pause

        pause.pause(self._record.apart())

    def resume(self) -> None:
        """Thaws every process."""
        from pyrunc.container import pause

        pause.resume(self._record.apart())

    def update(self, resources: "Resources | dict[str, Any]") -> None:
        """Changes limits of the running container and in the stored config. ``resources`` (linux.resources): a JSON
        object or a model. An absent limit, or 0, is not changed; -1 removes a limit. If one change is refused, no limit
        is changed."""
        from pyrunc.container import update
        from pyrunc.spec.load import raw

        apart = self._record.apart()
        update.update(apart, dict(resources) if isinstance(resources, dict) else raw(resources))
        self._record.state = apart.state

    def stats(self) -> "dict[str, Any]":
        """Returns what ``events --stats`` prints under ``data``: bytes, nanoseconds, counts."""
        from pyrunc.container import events

        return events.stats(self._record)

    def events(self, interval: float = 5.0) -> "Iterator[dict[str, Any]]":
        """Yields ``{"type": "stats"|"oom", "id": ..., "data": ...}`` until the container has ended: statistics every
        ``interval`` seconds, out-of-memory events when they happen."""
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
        """Executes ``args`` in the container, as the container's own process except for ``changes``. Returns when the
        program has been executed.

        ``changes`` (process_config.process_of): ``env`` (mapping or ``NAME=value``), ``cwd``, ``user`` (``UID`` or
        ``UID:GID``), ``additional_gids``, ``terminal``, ``capabilities``, ``no_new_privileges``, ``selinux_label``,
        ``apparmor_profile``. ``process``: a complete process of the spec, instead of ``args`` and ``changes``. The
        standard descriptors are as for ``create``. ``console``: a connected socket that receives the terminal's master.
        ``cgroup``: a cgroup below the container's (``[CTRL:]PATH``, several for several controllers). Raises
        WrongStatus, SpecError, or StepError (its ``errno`` says why the program cannot be executed).
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
        """Waits until init has ended; returns its exit status, 128 + n if signal n ended it.

        Returns None if init was not a child process of this process, because the kernel reports the status only to the
        parent. The method may be called repeatedly and from any thread: the status is kept until ``destroy``.
        TimeoutError after ``timeout`` seconds.
        """
        from pyrunc.container.exec_process import wait_for_init

        state = self._record.state
        if not wait_for_init(state.pid, state.start_time, self._record.executed, timeout):
            raise TimeoutError(f"container {self.id} runs on after {timeout:g} s")
        from pyrunc.linux import wait_status

        return wait_status.status_of(state.pid, state.start_time)

    def destroy(self, force: bool = False) -> None:
        """Removes the cgroups of a stopped container, runs the ``poststop`` hooks, and removes the state. ``force``
        kills the container first.

        Reaps the container's processes that are child processes of this process: init, and processes that this instance
        started by ``exec``. WrongStatus if the container is running and ``force`` is not given.
        """
        from pyrunc.container import delete

        delete.delete(self._record.apart(), force)


def spec_of(bundle: str, config: "Config | dict[str, Any] | None") -> "Config":
    """Returns ``config``, or the bundle's config.json if it is None, after validation."""
    from pyrunc.spec.load import config_from, load, raw

    if config is None:
        return load(f"{bundle}/config.json")
    return config_from(config if isinstance(config, dict) else raw(config))
