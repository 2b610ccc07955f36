"""Creates a container: from a config to an init that waits for `start`, or with ``run`` to the running program."""

import posix

from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.groups import Groups
from pyrunc.container import pid_file, start_socket, store
from pyrunc.container.processes import mount_namespace
from pyrunc.container.record import Record
from pyrunc.container.state_json import state_parts
from pyrunc.errors import SpecError
from pyrunc.launch.actions import ACTIONS, out_of_memory
from pyrunc.launch.conversation import HelperEnded, Launch
from pyrunc.launch.placement import verify_placement
from pyrunc.linux import output, procfs, timestamp
from pyrunc.plan import protocol
from pyrunc.plan.facts import Facts
from pyrunc.plan.mount_list import absolute
from pyrunc.spec.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.errors import StepError
    from pyrunc.plan.options import CreateOptions
    from pyrunc.plan.steps import Step
    from pyrunc.spec.types import Config


class Creation:
    """A container that is being created. create, run, restore and ``plan`` share this class.

    ``record`` is locked from ``begin`` on. ``launch`` holds the acquired resources; ``undo`` releases them.
    """

    def __init__(self, container_id: str, spec: "Config", options: "CreateOptions") -> None:
        self.spec = spec
        self.options = options
        self.record = Record(options.root, container_id)
        self.facts = facts_of(container_id, spec, options)
        self.launch = Launch([], {})
        self.notify: Any = None  # the container's socket for sd_notify(3), if this process listens on it

    def steps(self) -> "list[Step]":
        """Returns the plan."""
        from pyrunc.plan.compile import compile_create

        return compile_create(self.spec, self.facts)

    def make(self) -> int:
        """Executes the plan; returns the pid of init. On failure removes everything that was made."""
        self.check()
        if self.options.notify_socket:
            from pyrunc.resources import notify_socket

            notify_socket.give(self.spec, f"{self.record.directory}/{store.NOTIFY}")
        steps = self.steps()
        self.launch = launch = Launch(steps, {**ACTIONS, "record": self._record})
        launch.meanwhile, launch.stdio = self.options.meanwhile, self.options.stdio
        launch.rollback.add(self._poststop)  # added first, so it runs last; only the state is removed after it
        self.begin()
        opened: dict[int, int] = {}
        try:
            self._inherited(opened)
            self._run(opened)
            return launch.pid
        except HelperEnded as error:
            launch.kill()
            reason = out_of_memory(error, launch.cgroups, self.spec)
            self.undo()
            raise reason from None
        except BaseException:
            launch.kill()
            self.undo()
            raise
        finally:
            launch.close()
            if self.options.trace:
                from pyrunc.launch.trace import write_trace

                write_trace(self.options, launch)
            for slot, descriptor in opened.items():
                if slot != protocol.SLOT_CONSOLE:
                    posix.close(descriptor)
            self.record.release()

    def check(self) -> None:
        """Raises SpecError for errors that can be detected before anything is made."""
        check_bundle(self.options.bundle, self.spec)
        if self.spec.linux.intel_rdt is not None:
            from pyrunc.resources import resctrl

            resctrl.check(self.options.resctrl, self.record.id, self.spec.linux.intel_rdt)

    def _run(self, opened: "dict[int, int]") -> None:
        options, launch = self.options, self.launch
        if options.observer is not None:
            options.observer(launch, options, opened)
        else:
            launch.run(opened, options.preserve_fds)
        if launch.cgroups is not None and options.placement != "legacy" and options.run:
            # A thread of a library, or a daemon, can move init as late as this (docs/hostile-libraries.md).
            verify_placement(launch.cgroups, launch.pid)
        if self.facts.filters is not None:
            self.facts.filters.save()

    def begin(self) -> None:
        """Reserves the id and writes the first state before the first cgroup is made, so that `delete --force` can find
        everything that a killed command leaves. The caller calls ``undo`` after a later failure, and releases the
        record."""
        store.make_root(self.options.root)
        self.record.make()
        try:
            if self.options.cgroup_manager == "cgroupfs":
                check_unused(self.facts.cgroups)
            self._first_state()
        except BaseException:
            self.undo()
            raise

    def _first_state(self) -> None:
        state, options = self.record.state, self.options
        from pyrunc.spec.load import raw

        state.id, state.version, state.bundle = self.record.id, VERSION, options.bundle
        state.rootfs = absolute(self.spec.root.path, options.bundle)
        state.created = timestamp.timestamp(posix.fstat(self.record.lock).st_mtime_ns)
        state.owner = posix.getuid()
        state.annotations = dict(self.spec.annotations)
        state.cgroups = self.facts.cgroups
        state.systemd_unit = self.facts.systemd[0] if self.facts.systemd is not None else ""
        state.no_new_keyring, state.placement = options.no_new_keyring, options.placement
        state.config = raw(self.spec)
        state.resctrl = options.resctrl
        if self.spec.linux.intel_rdt is not None:
            from pyrunc.resources import resctrl

            state.intel_rdt = resctrl.owned(options.resctrl, self.record.id, self.spec.linux.intel_rdt)
        if not any(space.type == "mount" for space in self.spec.linux.namespaces):
            self._host_root()
        self.record.save()

    def _host_root(self) -> None:
        """Records the path at which the root will be mounted, if that is in the host's mount namespace. ``undo``
        unmounts it."""
        from pyrunc.plan.compile import mounts_on_host
        from pyrunc.resources import host_root

        if mounts_on_host(self.spec, self.facts):
            state = self.record.state
            state.root_mount = path = host_root.canonical(state.rootfs)
            state.root_mount_below = below = host_root.top(path)
            self.launch.rollback.add(lambda: host_root.detach(path, below))

    def _inherited(self, opened: "dict[int, int]") -> None:
        """Opens the descriptors that the helper inherits, and adds them to ``opened`` {slot: descriptor}."""
        if not self.options.run:
            opened[protocol.SLOT_START] = start_socket.listen(self.record.lock)
        if self.options.console >= 0:
            opened[protocol.SLOT_CONSOLE] = self.options.console
        if self.options.notify_socket:
            posix.mkdir(f"{self.record.directory}/{store.NOTIFY}", 0o755)
            if self.options.run:
                from pyrunc.resources import notify_socket

                self.notify = notify_socket.listen(self.record.lock)
                self.launch.rollback.add(self.notify.close)

    def _record(self, launch: Launch, _: "Step") -> None:
        self.record_pid(launch.pid)

    def record_pid(self, pid: int) -> None:
        """The step ``record``: stores init's pid. After the reply to it init no longer depends on this process."""
        state = self.record.state
        state.pid, state.start_time = pid, self.launch.start_time or procfs.stat(pid)[1]
        state.mount_namespace = mount_namespace(self.spec, pid)
        state.descriptors = [_link(f"/proc/{pid}/fd/{number}") for number in range(3)]
        self.record.save()
        if self.options.pid_file:
            pid_file.write_pid_file(self.options.pid_file, pid)
            self.launch.rollback.add(lambda: output.remove(self.options.pid_file))

    def remove(self) -> None:
        """Removes the container after a foreground `run`: its cgroups, with poststop hooks, and its state."""
        from pyrunc.container.delete import delete
        from pyrunc.errors import NoSuchContainer

        try:
            delete(Record(self.options.root, self.record.id), True)
        except NoSuchContainer:
            pass

    def await_ready(self, pid: int, detached: bool) -> None:
        """Forwards the program's sd_notify(3) messages to the service manager. If detached, waits for them here;
        otherwise a thread does it while the caller waits for the container."""
        if self.notify is None:
            return
        from pyrunc import interpreter, interrupts
        from pyrunc.resources import notify_socket

        if detached:
            with interrupts.allowed:
                notify_socket.forward(self.notify, self.options.notify_socket, pid, True)
            return
        interpreter.complete()
        import _thread

        _thread.start_new_thread(notify_socket.forward, (self.notify, self.options.notify_socket, pid, False))

    def undo(self) -> None:
        """Removes everything after a failure. The processes are dead, so the cgroups can be removed; the state goes
        last."""
        if self.launch.rollback.run():
            self._forget()
        # Otherwise the state stays, so that `delete --force` can remove the rest.

    def was_started(self, error: "StepError") -> bool:
        """Whether at ``error`` everything was done except for executing the startContainer hooks and the program."""
        step = self.launch.steps[error.step]
        return step.kind == "execute" or step.where.startswith("hooks.startContainer")

    def _poststop(self) -> None:
        """Runs the poststop hooks: they also run for a container whose creation failed (runtime.md "Lifecycle",
        step 13)."""
        if self.launch.had_process and self.spec.hooks is not None and self.spec.hooks.poststop:
            from pyrunc.launch import hooks

            head, tail = self.facts.state_of("stopped")
            hooks.run_all("poststop", self.spec.hooks.poststop, f"{head}0{tail}".encode(), self.options.bundle)

    def _forget(self) -> None:
        self.record.remove()


def facts_of(container_id: str, spec: "Config", options: "CreateOptions") -> Facts:
    """Returns everything besides ``spec`` that a plan depends on. SpecError for limits that this host does not
    support."""
    facts = Facts(container_id, options)
    facts.privileged = posix.geteuid() == 0
    facts.mapped = procfs.in_user_namespace()
    if options.cgroup_manager != "disabled":
        _cgroups(facts, spec)
    if spec.linux.seccomp is not None:
        from pyrunc.resources.filter_cache import Filters

        facts.filters = Filters()
    facts.state_head, facts.state_tail = state_parts(container_id, options.bundle, spec.annotations)
    if spec.hooks is not None:
        from pyrunc.launch import hooks

        facts.environment = hooks.own_environment()
    return facts


def _cgroups(facts: Facts, spec: "Config") -> None:
    from pyrunc.cgroup import host, paths
    from pyrunc.cgroup.devices import rules as device_rules
    from pyrunc.cgroup.limits import limits

    found = host.discover()
    path, resources = spec.linux.cgroups_path, spec.linux.resources
    facts.host = found
    facts.limits = limits(found, resources)
    # Setting device rules needs privileges that no delegation gives, so without them there are no rules.
    facts.devices = device_rules(resources) if facts.privileged and not facts.mapped else None
    if facts.options.cgroup_manager == "systemd":  # type: ignore[union-attr]
        from pyrunc.cgroup.systemd.facts import scope

        made = scope(path, facts.container_id, resources, facts.devices, spec.annotations, found.mode == "unified")
        facts.systemd, path = (made.unit, made.slice, made.properties), made.path
    facts.cgroups = paths.resolve(found, path, facts.container_id)
    if facts.devices is None and not facts.limits and (facts.systemd is not None or not path):
        facts.cgroups = paths.writable(facts.cgroups)


def check_unused(cgroups: "dict[str, str]") -> None:
    """Raises SpecError if there are processes in the cgroups: they would be killed together with the container. Also if
    the cgroups are frozen, because init could not run. The messages are runc's."""
    there = Groups(cgroups)
    if count := len(there.pids()):
        raise SpecError("linux.cgroupsPath", f"container's cgroup is not empty: {count} process(es) found")
    if Freezer(cgroups).frozen:
        raise SpecError("linux.cgroupsPath", "container's cgroup unexpectedly frozen")


def check_bundle(bundle: str, spec: "Config") -> None:
    """Raises SpecError if the rootfs is not a directory. It is checked again when it is used, as it may change."""
    path = absolute(spec.root.path, bundle)
    try:
        mode = posix.lstat(path).st_mode
    except OSError as error:
        raise SpecError("root.path", f"{path}: {(error.strerror or '').lower()}") from None
    kind = mode & 0o170000
    if kind == 0o120000:
        raise SpecError("root.path", f"{path}: is a symbolic link")
    if kind != 0o040000:
        raise SpecError("root.path", f"{path}: not a directory")


def _link(path: str) -> str:
    try:
        return posix.readlink(path)
    except OSError:
        return ""
