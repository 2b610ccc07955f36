"""What the runtime does for its own steps while the helper waits: one function a kind of step of plan/steps.py."""

import posix

from pyrunc.container.placement import verify_placement
from pyrunc.container.process import write
from pyrunc.errors import PyruncError, SpecError, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.create import Creation
    from pyrunc.container.launch import Action, HelperEnded, Launch
    from pyrunc.plan.steps import Step
    from pyrunc.spec.types import Config


def actions(creation: "Creation") -> "dict[str, Action]":
    """The runtime's steps of creating a container."""
    settings = creation.settings
    systemd = creation.options.cgroup_manager == "systemd"

    def cgroup_create(launch: "Launch", step: "Step") -> None:
        if not systemd:
            creation.make_cgroups(0)

    def net_device(launch: "Launch", step: "Step") -> None:
        from pyrunc.container.net_devices import NetDevices

        if creation.net_devices is None:
            creation.net_devices = NetDevices(launch.pid)
        creation.net_devices.move(str(step.args[0]), str(step.args[1]), step.where)

    def cgroup_devices(launch: "Launch", step: "Step") -> None:
        if not systemd:
            creation.cgroups.apply_devices(settings.devices)

    def cgroup_place(launch: "Launch", _: "Step") -> None:
        if systemd and settings.cgroups:
            # systemd makes a unit's cgroup around a process that is there.
            creation.make_cgroups(launch.process)
            if settings.devices is not None:
                creation.cgroups.apply_devices(settings.devices)
        if creation.cgroups is not None:
            creation.cgroups.place(launch.process)

    def runtime_hooks(launch: "Launch", step: "Step") -> None:
        point = str(step.args[0])
        status = "running" if point == "poststart" else "creating"
        run_hooks(creation, point, status, launch.pid)

    def record(launch: "Launch", _: "Step") -> None:
        creation.record(launch.pid)

    def verify(launch: "Launch", step: "Step") -> None:
        if creation.cgroups is not None:
            verify_placement(creation.cgroups, launch.process)

    def seccomp_listener(launch: "Launch", step: "Step") -> None:
        # Here as with create and start: all is done but the execve.
        head, tail = settings.state_of("created")
        send_listener(launch, step, f"{head}{launch.pid}{tail}")

    return {
        **common_actions(),
        "cgroup-create": cgroup_create,
        "cgroup-limit": nothing,
        "cgroup-devices": cgroup_devices,
        "net-device": net_device,
        "seccomp-listener": seccomp_listener,
        "cgroup-place": cgroup_place,
        "cgroup-verify": verify,
        "runtime-hooks": runtime_hooks,
        "record": record,
    }


def nothing(launch: "Launch", step: "Step") -> None:
    """A step that the one before has done with its own."""


def send_listener(launch: "Launch", step: "Step", state: str) -> None:
    """Sends the listener that came with the helper's message; ``state``: the container's, as JSON."""
    from pyrunc.container import seccomp_listener

    path, metadata = map(str, step.args)
    try:
        seccomp_listener.send(path, metadata, launch.listener, launch.pid, state)
    finally:
        posix.close(launch.listener)


def common_actions() -> "dict[str, Action]":
    """Steps that exec has as well."""

    def oom_score_adj(launch: "Launch", step: "Step") -> None:
        write(f"/proc/{launch.process}/oom_score_adj", str(step.args[0]))

    return {"oom-score-adj": oom_score_adj, "map-users": map_users, "map-groups": map_groups}


def map_users(launch: "Launch", step: "Step") -> None:
    """uid_map of the new user namespace (user_namespaces(7))."""
    _map(launch.pid, "uid_map", "newuidmap", step)


def map_groups(launch: "Launch", step: "Step") -> None:
    """gid_map; without privileges over the groups, setgroups(2) must be denied first (Linux 3.19, CVE-2014-8989)."""
    _map(launch.pid, "gid_map", "newgidmap", step)


def _map(pid: int, file: str, program: str, step: "Step") -> None:
    mappings: Sequence[str] = step.args[0]  # type: ignore[assignment]
    ours = posix.geteuid() if file == "uid_map" else posix.getegid()
    if posix.geteuid() != 0 and not (len(mappings) == 1 and mappings[0].split()[1:] == [str(ours), "1"]):
        from pyrunc.container import rootless

        rootless.map_ids(program, pid, mappings)
        return
    if posix.geteuid() != 0 and file == "gid_map":
        write(f"/proc/{pid}/setgroups", "deny")
    write(f"/proc/{pid}/{file}", "\n".join(mappings) + "\n")


def run_hooks(creation: "Creation", point: str, status: str, pid: int) -> None:
    """All hooks of ``point`` with the container's state on standard input; poststart's failures are logged only."""
    chosen = {"prestart": "prestart", "createRuntime": "create_runtime", "poststart": "poststart"}[point]
    head, tail = creation.settings.state_of(status)
    from pyrunc.container import hooks

    try:
        hooks.run(point, getattr(creation.spec.hooks, chosen), f"{head}{pid}{tail}".encode())
    except PyruncError as error:
        raise StepError(0, "", str(error)) from None


def out_of_memory(error: "HelperEnded", cgroups: "Cgroups | None", config: "Config") -> PyruncError:
    """``error``, or that the kernel killed the process for want of memory, at the limit of ``config``."""
    if not error.killed or cgroups is None or not cgroups.oom_kills():
        return error
    words = "the process that starts the container was OOM-killed (memory limit too low?)"
    memory = config.linux.resources.memory if config.linux.resources is not None else None
    if memory is None or not memory.limit:  # it may be a limit of a cgroup above
        return PyruncError(words)
    return SpecError("linux.resources.memory.limit", f"{memory.limit}: {words}")
