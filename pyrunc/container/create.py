"""Creating a container: from a config to an init that waits for `start`, or with ``run`` to the running program."""

import posix

from pyrunc.cgroup.existing import Existing
from pyrunc.cgroup.freezer import Freezer
from pyrunc.container import process
from pyrunc.container import state as states
from pyrunc.container.actions import actions, out_of_memory
from pyrunc.container.launch import HelperEnded, Launch
from pyrunc.container.members import mount_namespace
from pyrunc.container.placement import verify_placement
from pyrunc.container.state import State
from pyrunc.container.state_text import state_parts
from pyrunc.errors import SpecError
from pyrunc.plan import slots
from pyrunc.plan.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.options import CreateOptions
    from pyrunc.plan.steps import Step
    from pyrunc.spec.types import Config


class Creation:
    """One container on its way: what create, run and ``plan`` share."""

    def __init__(self, container_id: str, spec: "Config", options: "CreateOptions") -> None:
        self.container_id = container_id
        self.spec = spec
        self.options = options
        self.settings = self._settings()
        self.state: State | None = None
        self.cgroups: Any = None
        self.net_devices: Any = None
        self.notify: Any = None  # the container's socket for sd_notify(3), when it is ours to listen on

    def _settings(self) -> Settings:
        options, spec = self.options, self.spec
        settings = Settings(self.container_id, options.bundle)
        settings.privileged = posix.geteuid() == 0
        settings.mapped = process.in_user_namespace()
        settings.create = not options.run
        settings.no_pivot = options.no_pivot
        settings.no_new_keyring = options.no_new_keyring
        settings.trace = bool(options.trace)
        settings.extra_env = options.extra_env
        settings.libraries, settings.preload_at = len(options.libraries), options.preload_at
        settings.placement, settings.preserve_fds = options.placement, options.preserve_fds
        if options.cgroup_manager != "disabled":
            self._cgroups(settings)
        if spec.linux.seccomp is not None:
            from pyrunc.container.filters import Filters

            settings.filters = Filters(options.root)
        settings.state_head, settings.state_tail = state_parts(self.container_id, options.bundle, spec.annotations)
        return settings

    def _cgroups(self, settings: Settings) -> None:
        from pyrunc.cgroup import host, paths
        from pyrunc.cgroup.devices import rules as device_rules
        from pyrunc.cgroup.limits import limits

        found = host.discover()
        systemd = self.options.cgroup_manager == "systemd"
        if systemd:
            from pyrunc.cgroup.systemd import check

            check()
        settings.host = found
        settings.cgroups = paths.resolve(found, self.spec.linux.cgroups_path, self.container_id, systemd)
        settings.limits = limits(found, self.spec.linux.resources)
        settings.devices = device_rules(self.spec.linux.resources)
        if not settings.privileged or settings.mapped:
            # Device rules take privileges that no delegation gives; what isn't asked for is left out.
            settings.devices = None
            if not self.spec.linux.cgroups_path and not settings.limits:
                settings.cgroups = paths.writable(settings.cgroups)

    def steps(self) -> "list[Step]":
        """The plan."""
        from pyrunc.plan.compile import compile_create

        return compile_create(self.spec, self.settings)

    def make(self) -> int:
        """Executes the plan; returns the pid of init. On failure nothing is left."""
        check_bundle(self.options.bundle, self.spec)
        if self.spec.linux.intel_rdt is not None:
            from pyrunc.container import intel_rdt

            intel_rdt.check(self.options.resctrl, self.container_id, self.spec.linux.intel_rdt)
        if self.options.notify_socket:
            from pyrunc.container import notify

            notify.give(self.spec, f"{self.options.root}/{self.container_id}/{State.NOTIFY}")
        steps = self.steps()
        self.begin()
        assert self.state is not None
        launch = Launch(steps, actions(self))
        launch.meanwhile = self.options.meanwhile
        launch.stdio = self.options.stdio
        opened: dict[int, int] = {}
        try:
            opened = self._inherited()
            if self.options.notify_socket:
                posix.mkdir(f"{self.state.directory}/{State.NOTIFY}", 0o755)
                self.notify = notify.listen(self.state) if self.options.run else None
            if self.options.libraries:
                from pyrunc.hostile.launching import run

                run(launch, self.options, opened, self.settings.cgroups, lambda pid: self._place_early(launch, pid))
            else:
                launch.run(opened, self.options.preserve_fds)
            if self.cgroups is not None and self.options.placement != "legacy" and not self.settings.create:
                # A thread or a daemon can move it as late as this (docs/hostile-libraries.md).
                verify_placement(self.cgroups, launch.pid)
            if self.settings.filters is not None:
                self.settings.filters.save()
            return launch.pid
        except HelperEnded as error:
            launch.kill()
            reason = out_of_memory(error, self.cgroups, self.spec)
            self.undo()
            raise reason from None
        except BaseException:
            launch.kill()
            self.undo()
            raise
        finally:
            if self.net_devices is not None:
                self.net_devices.close()
            if self.options.trace:
                from pyrunc.plan.explain import write_trace

                write_trace(self.options.trace, steps, launch.times)
            for slot, descriptor in opened.items():
                if slot != slots.CONSOLE:
                    posix.close(descriptor)
            self.state.release()

    def begin(self) -> None:
        """Takes the id and writes the first state, before the first cgroup is made: from here on `delete --force`
        finds all that there may be. Whoever calls it calls ``undo`` after a failure and releases the state."""
        states.make_root(self.options.root)
        self.state = State(self.options.root, self.container_id)
        self.state.make()
        try:
            if self.options.cgroup_manager == "cgroupfs":
                check_unused(self.settings.cgroups)
            self._first_state()
        except BaseException:
            self.undo()
            raise

    def _first_state(self) -> None:
        assert self.state is not None
        from pyrunc.spec.load import raw

        self.state.data = {
            "id": self.container_id,
            "pid": 0,
            "start_time": 0,
            "bundle": self.options.bundle,
            "rootfs": _join(self.options.bundle, self.spec.root.path),
            "created": states.timestamp(posix.fstat(self.state.lock).st_mtime_ns),
            "owner": posix.getuid(),
            "version": states.VERSION,
            "annotations": dict(self.spec.annotations),
            "cgroups": self.settings.cgroups,
            "systemd_unit": self._unit(),
            "no_new_keyring": self.options.no_new_keyring,
            "placement": self.options.placement,
            "mount_namespace": "",
            "config": raw(self.spec),
            "resctrl": self.options.resctrl,
            "intel_rdt": self._intel_rdt(),
        }
        self.state.save()

    def _intel_rdt(self) -> "list[str]":
        """Directories of resctrl to be removed with the container."""
        rdt = self.spec.linux.intel_rdt
        if rdt is None:
            return []
        from pyrunc.container import intel_rdt

        return intel_rdt.owned(self.options.resctrl, self.container_id, rdt)

    def _unit(self) -> str:
        """The scope's name, to be stopped with the container; "" when the cgroups are our own to remove."""
        if self.options.cgroup_manager != "systemd":
            return ""
        from pyrunc.cgroup.systemd import parse

        return parse(self.spec.linux.cgroups_path, self.container_id)[1]

    def _inherited(self) -> "dict[int, int]":
        """{slot: descriptor} for the helper."""
        assert self.state is not None
        opened: dict[int, int] = {}
        if self.settings.create:
            opened[slots.START] = listen(self.state)
        if self.options.console >= 0:
            opened[slots.CONSOLE] = self.options.console
        return opened

    def make_cgroups(self, pid: int) -> None:
        """Makes them and sets the limits; systemd puts ``pid`` into the one that it makes itself."""
        from pyrunc.cgroup.manager import Cgroups

        settings = self.settings
        if self.options.cgroup_manager == "systemd":
            from pyrunc.cgroup import systemd

            path, resources = self.spec.linux.cgroups_path, self.spec.linux.resources
            known = systemd.properties(resources, "" in settings.cgroups and len(settings.cgroups) == 1)
            # systemd makes the unit's cgroup; the other hierarchies, and what it knows nothing of, are ours.
            systemd.start(path, self.container_id, pid, known)
        self.cgroups = Cgroups(settings.cgroups)
        self.cgroups.create()
        # All limits at once: the manager words a refused one with its own place in config.json.
        self.cgroups.apply(settings.limits)

    def _place_early(self, launch: Launch, pid: int) -> None:
        """--placement legacy: the parent writes the pid as soon as there is one, and never looks again."""
        if not pid:
            for step in launch.steps:
                if step.kind in ("cgroup-create", "cgroup-devices"):
                    launch.actions[step.kind](launch, step)
        elif self.cgroups is not None:
            self.cgroups.place(pid)

    def record(self, pid: int) -> None:
        """Step ``record``: from its answer on the process goes on without us."""
        assert self.state is not None
        self.state.data["pid"] = pid
        self.state.data["start_time"] = process.stat(pid)[1]
        self.state.data["mount_namespace"] = mount_namespace(self.spec, pid)
        self.state.data["descriptors"] = [_link(f"/proc/{pid}/fd/{number}") for number in range(3)]
        rdt = self.spec.linux.intel_rdt
        if rdt is not None:
            from pyrunc.container import intel_rdt

            intel_rdt.create(self.options.resctrl, self.container_id, rdt, pid)
        self.state.save()
        if self.options.pid_file:
            states.write_pid_file(self.options.pid_file, pid)

    def remove(self) -> None:
        """The end of a foreground `run`: cgroups, poststop hooks, state."""
        from pyrunc.container.container import Container
        from pyrunc.errors import NoSuchContainer

        try:
            Container.load(self.container_id, self.options.root).destroy(force=True)
        except NoSuchContainer:
            pass

    def await_ready(self, pid: int, detached: bool) -> None:
        """Passes on what the program says to sd_notify(3): here, or beside the wait for its end."""
        if self.notify is None:
            return
        from pyrunc import hot, interrupts
        from pyrunc.container import notify

        if detached:
            interrupts.allow()
            notify.forward(self.notify, self.options.notify_socket, pid, True)
            return
        hot.complete()
        import _thread

        _thread.start_new_thread(notify.forward, (self.notify, self.options.notify_socket, pid, False))

    def undo(self) -> None:
        """After a failure: the processes are dead, so cgroups can go, and last of all the state."""
        assert self.state is not None
        if self.net_devices is not None:
            self.net_devices.undo()
        if self.notify is not None:
            self.notify.close()
        if self.cgroups is not None:
            self.cgroups.kill_all(9)
            self.cgroups.remove()
        if self.state.data.get("intel_rdt"):
            from pyrunc.container import intel_rdt

            intel_rdt.remove(self.state.data["intel_rdt"])
        self.state.remove()
        if self.options.pid_file:
            _unlink(self.options.pid_file)


def check_unused(cgroups: "dict[str, str]") -> None:
    """SpecError when somebody is in the cgroups already: with the container's end they would be killed, too. In a
    frozen one nothing could be made (as runc's words)."""
    there = Existing(cgroups)
    if count := len(there.pids()):
        raise SpecError("linux.cgroupsPath", f"container's cgroup is not empty: {count} process(es) found")
    if Freezer(cgroups).frozen:
        raise SpecError("linux.cgroupsPath", "container's cgroup unexpectedly frozen")


def check_bundle(bundle: str, spec: "Config") -> None:
    """SpecError when the rootfs can't be one. What may change until it is used is checked again where it is used."""
    path = _join(bundle, spec.root.path)
    try:
        mode = posix.lstat(path).st_mode
    except OSError as error:
        raise SpecError("root.path", f"{path}: {(error.strerror or '').lower()}") from None
    kind = mode & 0o170000
    if kind == 0o120000:
        raise SpecError("root.path", f"{path}: is a symbolic link")
    if kind != 0o040000:
        raise SpecError("root.path", f"{path}: not a directory")


def listen(state: State) -> int:
    """The socket on which init waits for `start`."""
    from _socket import AF_UNIX, SOCK_SEQPACKET, socket

    waiting = socket(AF_UNIX, SOCK_SEQPACKET)
    # By descriptor: the state directory's own path may be longer than sun_path (unix(7)).
    waiting.bind(f"/proc/self/fd/{state.lock}/{states.SOCKET}")
    waiting.listen(8)
    return int(waiting.detach())


def _link(path: str) -> str:
    try:
        return posix.readlink(path)
    except OSError:
        return ""


def _unlink(path: str) -> None:
    try:
        posix.unlink(path)
    except OSError:
        pass


def _join(bundle: str, path: str) -> str:
    return path if path.startswith("/") else f"{bundle}/{path}"
