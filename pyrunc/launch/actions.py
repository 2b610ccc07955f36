"""The runtime's own steps, executed while the helper waits: one function for each step kind of plan/steps.py.

An action uses its step's arguments and the launch's process. It adds the release of what it acquires to the launch's
rollback.
"""

import posix

from pyrunc.cgroup.manager import Cgroups, Limits
from pyrunc.cgroup.paths import directories
from pyrunc.errors import PyruncError, SpecError, StepError
from pyrunc.launch.placement import verify_placement
from pyrunc.linux import procfs
from pyrunc.linux.files import write
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.launch.conversation import HelperEnded, Launch
    from pyrunc.plan.steps import Step
    from pyrunc.spec.types import Config


def cgroup_create(launch: "Launch", step: "Step") -> None:
    """Creates the cgroups. A rollback kills everything in them and removes them."""
    (words,) = step.args
    launch.cgroups = Cgroups(directories(words))  # type: ignore[arg-type]
    launch.limits = Limits()
    launch.cgroups.create()
    launch.rollback.add(_remove(launch.cgroups))


def _remove(cgroups: Cgroups) -> "Callable[[], None]":
    def remove() -> None:
        cgroups.kill_all(SIGKILL)
        cgroups.remove()

    return remove


def cgroup_limit(launch: "Launch", step: "Step") -> None:
    """Writes one limit."""
    path, value, optional = step.args
    launch.limits.write(str(path), str(value), step.where, bool(optional))


def cgroup_devices(launch: "Launch", step: "Step") -> None:
    """Sets the device rules."""
    from pyrunc.cgroup.devices import parse
    from pyrunc.cgroup.manager import apply_devices

    place, words = step.args
    name, _, directory = str(place).partition(":")
    apply_devices(name, directory, parse(words))  # type: ignore[arg-type]


def systemd_scope(launch: "Launch", step: "Step") -> None:
    """Asks systemd to create the scope around the process. A rollback stops the scope and with it the process."""
    from pyrunc.cgroup import systemd

    unit, slice_, properties = step.args
    launch.rollback.add(lambda: systemd.stop(str(unit)))
    systemd.start(str(unit), str(slice_), launch.process, properties)  # type: ignore[arg-type]


def cgroup_place(launch: "Launch", step: "Step") -> None:
    """Moves the process into its cgroups, after all limits are set."""
    words, fallback, unit = step.args
    launch.limits.settle()
    if launch.cgroups is None:
        launch.cgroups = Cgroups(directories(words))  # type: ignore[arg-type]
    attach = None
    if unit:

        def attach(directory: str) -> None:
            from pyrunc.cgroup import systemd

            systemd.attach(str(unit), directory, launch.process)

    launch.cgroups.place(launch.process, int(fallback), attach)  # type: ignore[arg-type]


def cgroup_verify(launch: "Launch", step: "Step") -> None:
    """Reads back which cgroups the process is in (launch/placement.py)."""
    (words,) = step.args
    cgroups = launch.cgroups if launch.cgroups is not None else Cgroups(directories(words))  # type: ignore[arg-type]
    if not cgroups.fell_back:
        verify_placement(cgroups, launch.process)


def identify(launch: "Launch", step: "Step") -> None:
    """Records init's start time for the container's state."""
    launch.start_time = procfs.stat(launch.pid)[1]


def oom_score_adj(launch: "Launch", step: "Step") -> None:
    """Sets /proc/PID/oom_score_adj (proc(5))."""
    write(f"/proc/{launch.process}/oom_score_adj", str(step.args[0]))


def map_users(launch: "Launch", step: "Step") -> None:
    """Writes uid_map of the new user namespace (user_namespaces(7))."""
    _map(launch.pid, "uid_map", "newuidmap", step)


def map_groups(launch: "Launch", step: "Step") -> None:
    """Writes gid_map. An unprivileged user must first deny setgroups(2) (Linux 3.19, CVE-2014-8989)."""
    _map(launch.pid, "gid_map", "newgidmap", step)


def _map(pid: int, file: str, program: str, step: "Step") -> None:
    mappings: Sequence[str] = step.args[0]  # type: ignore[assignment]
    ours = posix.geteuid() if file == "uid_map" else posix.getegid()
    if posix.geteuid() != 0 and not (len(mappings) == 1 and mappings[0].split()[1:] == [str(ours), "1"]):
        from pyrunc.launch import id_maps

        id_maps.map_ids(program, pid, mappings)
        return
    if posix.geteuid() != 0 and file == "gid_map":
        write(f"/proc/{pid}/setgroups", "deny")
    write(f"/proc/{pid}/{file}", "\n".join(mappings) + "\n")


def runtime_hook(launch: "Launch", step: "Step") -> None:
    """Runs one hook with the container's state on its standard input. A failing hook fails the launch."""
    from pyrunc.launch import hooks

    path, args, env, head, tail, timeout, directory = step.args
    hook = hooks.Program(path, args, env, timeout or None)
    state = f"{head!s}{launch.pid}{tail!s}"
    try:
        hooks.run_one(step.where, hook, state.encode(), str(directory))
    except PyruncError as error:
        raise StepError(0, "", str(error)) from None


def net_device(launch: "Launch", step: "Step") -> None:
    """Moves one network interface into the container's network namespace."""
    from pyrunc.resources.net_devices import NetDevices

    name, new = step.args
    if launch.net_devices is None:
        launch.net_devices = NetDevices(launch.pid)
        launch.rollback.add(launch.net_devices.undo)
    launch.net_devices.move(str(name), str(new), step.where)


def seccomp_listener(launch: "Launch", step: "Step") -> None:
    """Sends the agent the seccomp listener that the helper passed with its message."""
    from pyrunc.resources import seccomp_listener as listener

    path, metadata, head, tail = map(str, step.args)
    state = f"{head}{launch.pid}{tail}" if tail else head
    try:
        listener.send(path, metadata, launch.listener, launch.pid, state)
    finally:
        posix.close(launch.listener)


def intel_rdt(launch: "Launch", step: "Step") -> None:
    """Moves the process into its resctrl group."""
    from pyrunc.resources import resctrl
    from pyrunc.spec.shape import build

    root, container_id = str(step.args[0]), str(step.args[1])
    clos, cache, bandwidth, schemata, monitoring = step.args[2:]
    properties: dict[str, Any] = {"closID": clos, "l3CacheSchema": cache, "memBwSchema": bandwidth}
    rdt = build("IntelRdt", {**properties, "schemata": schemata, "enableMonitoring": bool(monitoring)})
    launch.rollback.add(lambda: resctrl.remove(resctrl.owned(root, container_id, rdt)))
    resctrl.create(root, container_id, rdt, launch.pid)


ACTIONS: "dict[str, Callable[[Launch, Step], None]]" = {
    "cgroup-create": cgroup_create,
    "cgroup-limit": cgroup_limit,
    "cgroup-devices": cgroup_devices,
    "systemd-scope": systemd_scope,
    "cgroup-place": cgroup_place,
    "cgroup-verify": cgroup_verify,
    "identify": identify,
    "oom-score-adj": oom_score_adj,
    "map-users": map_users,
    "map-groups": map_groups,
    "runtime-hook": runtime_hook,
    "net-device": net_device,
    "seccomp-listener": seccomp_listener,
    "intel-rdt": intel_rdt,
}
"""All actions except ``record``, which pyrunc/container adds, and those of the observer (hostile/observer.py)."""


def out_of_memory(error: "HelperEnded", cgroups: "Cgroups | None", config: "Config") -> PyruncError:
    """Returns an error about the memory limit of ``config`` if the kernel OOM-killed the process, else ``error``."""
    if not error.killed or cgroups is None or not cgroups.oom_kills():
        return error
    words = "the process that starts the container was OOM-killed (memory limit too low?)"
    memory = config.linux.resources.memory if config.linux.resources is not None else None
    if memory is None or not memory.limit:  # the limit may be that of a parent cgroup
        return PyruncError(words)
    return SpecError("linux.resources.memory.limit", f"{memory.limit}: {words}")
