"""The order of everything: a config becomes the list of steps that creates its container, or executes in it.

Nothing here touches the host. Each concern compiles its own steps (namespaces, mounts, devices, process); this file
puts them in order and says why the order is this one.
"""

from pyrunc.errors import SpecError
from pyrunc.plan import devices, namespaces, process
from pyrunc.plan.mounts import Mounts, absolute
from pyrunc.plan.namespaces import Namespaces
from pyrunc.plan.slots import Slots
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.settings import Settings
    from pyrunc.spec.types import Config, Hook, Process


def compile_create(spec: "Config", settings: "Settings") -> "list[Step]":
    """Every step from nothing to the execve of the user's program (and ``poststart`` behind it)."""
    if spec.process is None:
        raise SpecError("process", "required to create a container")
    spaces = Namespaces(spec)
    slots = Slots()
    mounts = Mounts(spec, settings, spaces, slots)
    opening, joins = namespaces.joining(spaces, settings, slots)
    filesystem = _filesystem(spec, settings, spaces, mounts)
    steps = _cgroups(settings)
    steps += [Step("trace", "--trace")] if settings.trace else []
    placement = _placement(spec)
    if settings.libraries:
        from pyrunc.plan import preload

        # Whatever a library does is to be done inside of the cgroups.
        steps += [*placement, *preload.at_exec(settings)]
        placement = []
    if "user" in spaces:
        steps += process.raised_limits(spec.process)
    # All of the host is opened before anything is joined: a joined mount namespace has other paths.
    steps += [*opening, *mounts.before]
    # A joined pid namespace has processes that may look at us at once. But the owner of a new, unprivileged user
    # namespace must still be able to write its maps in /proc, which is root's for who is not dumpable (proc(5)).
    late = "user" in spaces.new and not settings.privileged
    steps += [] if late else [Step("undumpable", "linux.namespaces")]
    steps += [*joins, *namespaces.creating(spaces, spec, settings, placement)]
    steps += [Step("undumpable", "linux.namespaces")] if late else []
    steps += _session(spec, settings, spaces)
    steps += filesystem
    steps += process.before_identity(spec.process, create_cwd=True)
    steps += process.identity(spec.process)
    steps.append(process.program(spec.process))
    steps.append(Step("record", ""))
    return steps + _ending(spec, settings)


def _cgroups(settings: "Settings") -> "list[Step]":
    """Made, and limited, before there is anybody in them."""
    steps = []
    if settings.cgroups:
        steps.append(Step("cgroup-create", "linux.cgroupsPath"))
        steps += [Step("cgroup-limit", w.where, w.hierarchy, w.file, w.value) for w in settings.limits]
        if settings.devices is not None:
            from pyrunc.cgroup.devices import describe

            steps.append(Step("cgroup-devices", "linux.resources.devices", describe(settings.devices)))
    return steps


def _placement(spec: "Config") -> "list[Step]":
    """Of the process that becomes init, while it waits: nothing that it does or allocates is outside of its cgroups."""
    steps = [Step("cgroup-place", "linux.cgroupsPath")]
    if spec.process is not None and spec.process.oom_score_adj is not None:
        steps.append(Step("oom-score-adj", "process.oomScoreAdj", spec.process.oom_score_adj))
    return steps


def _session(spec: "Config", settings: "Settings", spaces: Namespaces) -> "list[Step]":
    """What the namespaces other than mount are given."""
    steps = _preloaded(settings)
    steps.append(Step("session", "process.terminal"))
    if not settings.no_new_keyring:
        steps.append(Step("keyring", "", f"_ses.{settings.container_id}"))
    if "network" in spaces.new:
        steps.append(Step("loopback", "linux.namespaces"))
    for name, device in spec.linux.net_devices.items():
        steps.append(Step("net-device", f"linux.netDevices.{name}", name, device.name or name))
    if spec.hostname:
        steps.append(Step("hostname", "hostname", spec.hostname))
    if spec.domainname:
        steps.append(Step("domainname", "domainname", spec.domainname))
    if spec.linux.personality is not None or spec.linux.memory_policy is not None:
        from pyrunc.plan import scheduling

        steps += scheduling.of_linux(spec.linux)
    return steps


def _preloaded(settings: "Settings") -> "list[Step]":
    if not settings.libraries:
        return []
    from pyrunc.plan import preload

    return preload.in_init(settings)


def _filesystem(spec: "Config", settings: "Settings", spaces: Namespaces, mounts: Mounts) -> "list[Step]":
    """The container's tree, in the mount namespace that it has of its own."""
    root = absolute(spec.root.path, settings.bundle)
    if "mount" not in spaces:
        return [*_hooks_before_root(spec, settings), Step("chroot", "root.path", root)]
    mounts.root(root)
    for index, mount in enumerate(spec.mounts):
        mounts.add(index, mount)
    devices.add(mounts, spec, bind="user" in spaces or settings.mapped or not settings.privileged)
    steps = mounts.inside
    steps += _hooks_before_root(spec, settings)
    assert spec.process is not None
    if spec.process.terminal:
        size = spec.process.console_size
        rows, columns = (size.height, size.width) if size is not None else (0, 0)
        steps.append(Step("console", "process.terminal", rows, columns, 1))
    steps += mounts.late
    steps += [
        Step("sysctl", f"linux.sysctl.{name}", _sysctl_path(name), value) for name, value in spec.linux.sysctl.items()
    ]
    # Read-only first: a mask lies over it, and a recursive read-only clone must not undo a mask.
    steps += [Step("read-only", f"linux.readonlyPaths[{i}]", path) for i, path in enumerate(spec.linux.readonly_paths)]
    masks = "".join(mounts.label)
    steps += [Step("mask", f"linux.maskedPaths[{i}]", path, masks) for i, path in enumerate(spec.linux.masked_paths)]
    steps.append(Step("move-root" if settings.no_pivot else "pivot", "root.path"))
    if spec.linux.rootfs_propagation:
        # Only now: done earlier, it would reach the host's mounts (and private it is already).
        steps.append(Step("root-propagation", "linux.rootfsPropagation", mounts.propagation))
    if spec.root.readonly:
        steps.append(Step("root-read-only", "root.readonly"))
    return steps


def _sysctl_path(name: str) -> str:
    """``net.ipv4.ip_forward`` or ``net/ipv4/conf/eth0.1/forwarding``, below /proc/sys (sysctl(8))."""
    slash, dot = name.find("/"), name.find(".")
    return (
        name
        if slash >= 0 and (dot < 0 or slash < dot)
        else name.replace("/", "\0").replace(".", "/").replace("\0", ".")
    )


def _hooks_before_root(spec: "Config", settings: "Settings") -> "list[Step]":
    """prestart and createRuntime on the host, createContainer in the namespaces; all before the root is changed."""
    steps = []
    if spec.hooks is not None:
        for point, hooks in (("prestart", spec.hooks.prestart), ("createRuntime", spec.hooks.create_runtime)):
            steps += [Step("runtime-hooks", f"hooks.{point}", point)] if hooks else []
        steps += _helper_hooks("createContainer", spec.hooks.create_container, settings)
    return steps


def _helper_hooks(point: str, hooks: "Sequence[Hook]", settings: "Settings") -> "list[Step]":
    head, tail = settings.state_of("created" if point == "startContainer" else "creating")
    return [
        Step("hook", f"hooks.{point}[{i}]", h.path, h.args or [h.path], h.env, head, tail, h.timeout or 0)
        for i, h in enumerate(hooks)
    ]


def _ending(spec: "Config", settings: "Settings") -> "list[Step]":
    """From `start`'s word on, or at once with `run`."""
    assert spec.process is not None
    steps = [Step("await-start", "")] if settings.create else [Step("cgroup-verify", "linux.cgroupsPath")]
    if spec.hooks is not None:
        steps += _helper_hooks("startContainer", spec.hooks.start_container, settings)
    steps += process.final(spec.process, spec.linux.seccomp, settings.extra_env, settings.filters)
    if spec.hooks is not None and spec.hooks.poststart:
        steps.append(Step("runtime-hooks", "hooks.poststart", "poststart"))
    return steps


def compile_exec(spec: "Config", process_: "Process", settings: "Settings") -> "list[Step]":
    """Another process in a running container: its cgroups, its namespaces, then as for init."""
    spaces = Namespaces(spec)
    steps = [Step("trace", "--trace")] if settings.trace else []
    if process_.exec_cpu_affinity is not None:
        from pyrunc.plan import scheduling

        steps += scheduling.affinity(process_.exec_cpu_affinity.initial, "process.execCPUAffinity.initial")
    steps.append(Step("cgroup-place", "--cgroup"))
    if process_.oom_score_adj is not None:
        steps.append(Step("oom-score-adj", "process.oomScoreAdj", process_.oom_score_adj))
    if settings.libraries:
        from pyrunc.plan import preload

        steps += preload.at_exec(settings)
    if process_.exec_cpu_affinity is not None:
        steps += scheduling.affinity(process_.exec_cpu_affinity.final, "process.execCPUAffinity.final")
    if "user" in spaces:
        steps += process.raised_limits(process_)
    steps.append(Step("undumpable", "linux.namespaces"))
    steps += namespaces.joining_process(spaces.flags, settings)
    # A pid namespace is entered by a child only, and the child must be the caller's (pid_namespaces(7)).
    steps.append(Step("clone", "linux.namespaces", 0))
    if "user" in spaces:
        steps.append(Step("become-root", "linux.uidMappings"))
    if "mount" not in spaces:
        steps.append(Step("chroot", "root.path", settings.root))
    steps += _preloaded(settings)
    steps.append(Step("session", "process.terminal"))
    if not settings.no_new_keyring:
        steps.append(Step("keyring", "", f"_ses.{settings.container_id}"))
    if process_.terminal:
        size = process_.console_size
        steps.append(Step("console", "process.terminal", size.height if size else 0, size.width if size else 0, 0))
    if spec.linux.personality is not None:
        from pyrunc.plan import scheduling

        steps += scheduling.of_linux(spec.linux)
    steps += process.before_identity(process_, create_cwd=False)
    steps += process.identity(process_)
    steps.append(process.program(process_))
    steps.append(Step("cgroup-verify", "--cgroup"))
    return steps + process.final(process_, spec.linux.seccomp, settings.extra_env, settings.filters)
