"""Compiles a config into the list of steps that creates its container, or executes a process in it.

Nothing here accesses the host. Each concern compiles its own steps (namespaces, mounts, devices, process). This module
orders them and explains the order.
"""

from pyrunc.errors import SpecError
from pyrunc.plan import cgroups, devices, hooks, namespaces, process
from pyrunc.plan import mounts as mounting
from pyrunc.plan.mount_list import Mounts, absolute, destination
from pyrunc.plan.namespaces import Namespaces
from pyrunc.plan.slots import Slots
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import Facts
    from pyrunc.spec.types import Config, IntelRdt, Process


def compile_create(spec: "Config", facts: "Facts") -> "list[Step]":
    """Returns every step up to the execve of the user's program, and the ``poststart`` hooks after it."""
    if spec.process is None:
        raise SpecError("process", "required to create a container")
    spaces = Namespaces(spec)
    slots = Slots()
    mounts = Mounts(spec, facts, spaces, slots)
    opening, joins = namespaces.joining(spaces, facts, slots)
    filesystem = _filesystem(spec, facts, spaces, mounts)
    steps, placement = cgroups.making(facts), cgroups.placing(spec.process, facts)
    steps += [Step("trace", "--trace")] if facts.options.trace else []
    if facts.options.libraries:
        from pyrunc.plan import preload

        # Everything that a library does must happen inside the cgroups.
        steps += [*preload.before_placement(facts), *placement, *preload.at_exec(facts)]
        placement = []
    if "user" in spaces:
        steps += process.raised_limits(spec.process)
    # All paths of the host are opened before a namespace is joined, because paths differ in a joined mount namespace.
    steps += [*opening, *mounts.before]
    # Processes of a joined pid namespace could trace this one, so it becomes undumpable before the join. But the owner
    # of a new, unprivileged user namespace must first write its maps in /proc, which belongs to root once a process is
    # not dumpable (proc(5)).
    late = "user" in spaces.new and not facts.privileged
    steps += [] if late else [Step("undumpable", "linux.namespaces")]
    steps += [*joins, *namespaces.creating(spaces, spec, facts, placement)]
    # From then on, a /proc that the host mounted with hidepid does not show the process to a user.
    steps += [Step("identify", ""), Step("undumpable", "linux.namespaces")] if late else []
    steps += _session(spec, facts, spaces)
    steps += filesystem
    steps.append(Step("affinity-reset", "process"))
    steps += process.before_identity(spec.process, facts, listener=not facts.options.run)
    steps += process.identity(spec.process)
    steps.append(process.program(spec.process))
    if spec.linux.intel_rdt is not None:
        steps.append(_intel_rdt(spec.linux.intel_rdt, facts))
    steps.append(Step("record", ""))
    return steps + _ending(spec, facts)


def _session(spec: "Config", facts: "Facts", spaces: Namespaces) -> "list[Step]":
    """Returns the steps that configure the namespaces other than mount."""
    steps = [Step("session", "process.terminal"), *_preloaded(facts, spaces)]
    if not facts.options.no_new_keyring:
        steps.append(Step("keyring", "", f"_ses.{facts.container_id}"))
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


def _preloaded(facts: "Facts", spaces: Namespaces, rooted: bool = True) -> "list[Step]":
    """Returns the loading of libraries at init. It comes after the new session, so that a library finds no terminal of
    the caller's. ``rooted``: the mount namespace has the container's root as its own."""
    if not facts.options.libraries:
        return []
    from pyrunc.plan import preload

    # Re-entering a mount namespace would undo a chroot (setns(2)).
    return preload.in_init(facts, preload.fresh_namespaces(spaces) & ~(0 if rooted else preload.MOUNT))


def _filesystem(spec: "Config", facts: "Facts", spaces: Namespaces, mounts: Mounts) -> "list[Step]":
    """Returns the steps that build the container's tree, in its own mount namespace if it has one."""
    root = absolute(spec.root.path, facts.options.bundle)
    own = "mount" in spaces
    if own:
        mounting.root(mounts, root)
    elif mounts_on_host(spec, facts):
        mounting.host_root(mounts, root)
    else:
        return _bare(spec, facts, root)
    for index, mount in enumerate(spec.mounts):
        mounting.add(mounts, index, mount)
    devices.add(mounts, spec, bind="user" in spaces or facts.mapped or not facts.privileged)
    steps = mounts.inside
    steps += hooks.before_root(spec, facts)
    assert spec.process is not None
    if spec.process.terminal:
        size = spec.process.console_size
        rows, columns = (size.height, size.width) if size is not None else (0, 0)
        steps.append(Step("console", "process.terminal", rows, columns, 1))
    steps += mounts.late
    # Before anything is made read-only.
    steps.append(Step("make-working-directory", "process.cwd", spec.process.cwd))
    steps += [
        Step("sysctl", f"linux.sysctl.{name}", _sysctl_path(name), value) for name, value in spec.linux.sysctl.items()
    ]
    # Read-only first: a mask is mounted on top of it, and a recursive read-only clone must not undo a mask.
    for name, kind, paths, extra in (
        ("readonlyPaths", "read-only", spec.linux.readonly_paths, ()),
        ("maskedPaths", "mask", spec.linux.masked_paths, ("".join(mounts.label),)),
    ):
        once = {destination(path): index for index, path in reversed(list(enumerate(paths)))}
        steps += [Step(kind, f"linux.{name}[{i}]", path, *extra) for path, i in sorted(once.items(), key=_second)]
    if own:
        steps.append(Step("move-root" if facts.options.no_pivot else "pivot", "root.path"))
    else:
        steps.append(Step("chroot", "root.path", root))
    if spec.linux.rootfs_propagation:
        # Only after the change of root: earlier it would affect the host's mounts (and the tree already is private).
        steps.append(Step("root-propagation", "linux.rootfsPropagation", mounts.propagation))
    if spec.root.readonly:
        steps.append(Step("root-read-only", "root.readonly"))
    return steps


def mounts_on_host(spec: "Config", facts: "Facts") -> bool:
    """Whether the container's mounts are made in the host's mount namespace: it has none of its own, and is privileged
    to mount there."""
    spaces = Namespaces(spec)
    return "mount" not in spaces and "user" not in spaces and facts.privileged and not facts.mapped


def _bare(spec: "Config", facts: "Facts", root: str) -> "list[Step]":
    """Only changes the root. A user namespace may mount only in its own mount namespace."""
    assert spec.process is not None
    asked = {
        "mounts[0]": spec.mounts,
        "root.readonly": spec.root.readonly,
        "linux.devices[0]": spec.linux.devices,
        "process.terminal": spec.process.terminal,
        "linux.rootfsPropagation": spec.linux.rootfs_propagation,
    }
    for where, given in asked.items():
        if given:
            raise SpecError(where, "needs a mount namespace of the container's own")
    steps = hooks.before_root(spec, facts, root)
    steps += [Step("sysctl", f"linux.sysctl.{n}", _sysctl_path(n), value) for n, value in spec.linux.sysctl.items()]
    making = Step("make-working-directory", "process.cwd", spec.process.cwd)
    return [*steps, Step("chroot", "root.path", root), making]


def _intel_rdt(rdt: "IntelRdt", facts: "Facts") -> Step:
    """Returns the step for resctrl, right before the pid is recorded, when init is complete."""
    group = (facts.options.resctrl, facts.container_id, rdt.clos_id)
    schemata = (rdt.l3_cache_schema, rdt.mem_bw_schema, rdt.schemata)
    return Step("intel-rdt", "linux.intelRdt", *group, *schemata, int(rdt.enable_monitoring))


def _second(pair: "tuple[str, int]") -> int:
    return pair[1]


def _sysctl_path(name: str) -> str:
    """Returns the path below /proc/sys of ``net.ipv4.ip_forward`` or ``net/ipv4/conf/eth0.1/forwarding``
    (sysctl(8))."""
    slash, dot = name.find("/"), name.find(".")
    return (
        name
        if slash >= 0 and (dot < 0 or slash < dot)
        else name.replace("/", "\0").replace(".", "/").replace("\0", ".")
    )


def _ending(spec: "Config", facts: "Facts") -> "list[Step]":
    """Returns the steps after the request of `start`, which `run` does at once."""
    assert spec.process is not None
    steps = [cgroups.verifying(facts) if facts.options.run else Step("await-start", "")]
    steps += process.final(spec.process, spec.linux.seccomp, facts, hooks.at_start(spec, facts))
    return steps + hooks.after_start(spec, facts)


def compile_exec(spec: "Config", process_: "Process", facts: "Facts") -> "list[Step]":
    """Returns the steps for another process in a running container: cgroups, namespaces, then the same as for init."""
    spaces = Namespaces(spec)
    steps = [Step("trace", "--trace")] if facts.options.trace else []
    if process_.exec_cpu_affinity is not None:
        from pyrunc.plan import scheduling

        steps += scheduling.affinity(process_.exec_cpu_affinity.initial, "process.execCPUAffinity.initial")
    placement = cgroups.placing(process_, facts, "--cgroup")
    if facts.options.libraries:
        from pyrunc.plan import preload

        placement = [*preload.before_placement(facts), *placement, *preload.at_exec(facts)]
    steps += placement
    if process_.exec_cpu_affinity is not None:
        steps += scheduling.affinity(process_.exec_cpu_affinity.final, "process.execCPUAffinity.final")
    else:
        steps.append(Step("affinity-reset", "process"))
    if "user" in spaces:
        steps += process.raised_limits(process_)
    steps.append(Step("undumpable", "linux.namespaces"))
    steps += namespaces.joining_process(spaces.flags, facts)
    # Only a child process enters a joined pid namespace, and it must be the caller's child (pid_namespaces(7)).
    steps.append(Step("clone", "linux.namespaces", 0))
    if "user" in spaces:
        steps.append(Step("become-root", "linux.uidMappings"))
    if "mount" not in spaces:
        steps.append(Step("enter-root", "root.path"))
    steps.append(Step("session", "process.terminal"))
    steps += _preloaded(facts, spaces, rooted="mount" in spaces)
    if not facts.options.no_new_keyring:
        steps.append(Step("keyring", "", f"_ses.{facts.container_id}"))
    if process_.terminal:
        size = process_.console_size
        steps.append(Step("console", "process.terminal", size.height if size else 0, size.width if size else 0, 0))
    if spec.linux.personality is not None or spec.linux.memory_policy is not None:
        from pyrunc.plan import scheduling

        steps += scheduling.of_linux(spec.linux)
    steps += process.before_identity(process_, facts, listener=False)
    steps += process.identity(process_)
    steps.append(process.program(process_))
    steps.append(cgroups.verifying(facts, "--cgroup"))
    if facts.options.pid_file:
        # As late as possible for the runtime, but before the program runs, so that a failed write fails the exec.
        steps.append(Step("pid-file", "--pid-file", facts.options.pid_file))
    return steps + process.final(process_, spec.linux.seccomp, facts)
