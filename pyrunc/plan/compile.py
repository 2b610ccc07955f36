"""The order of everything: a config becomes the list of steps that creates its container, or executes in it.

Nothing here touches the host. Each concern compiles its own steps (namespaces, mounts, devices, process); this file
puts them in order and says why the order is this one.
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
    """Every step from nothing to the execve of the user's program (and the hooks of ``poststart`` after it)."""
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

        # Whatever a library does is to be done inside of the cgroups.
        steps += [*preload.before_placement(facts), *placement, *preload.at_exec(facts)]
        placement = []
    if "user" in spaces:
        steps += process.raised_limits(spec.process)
    # All of the host is opened before anything is joined: a joined mount namespace has other paths.
    steps += [*opening, *mounts.before]
    # A joined pid namespace has processes that may look at us at once. But the owner of a new, unprivileged user
    # namespace must still be able to write its maps in /proc, which is root's for who is not dumpable (proc(5)).
    late = "user" in spaces.new and not facts.privileged
    steps += [] if late else [Step("undumpable", "linux.namespaces")]
    steps += [*joins, *namespaces.creating(spaces, spec, facts, placement)]
    # /proc of a host that mounts it with hidepid does not show it to a user from then on.
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
    """What the namespaces other than mount are given."""
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
    """After the session: a library finds no terminal of the caller's. ``rooted``: the root is the namespace's own."""
    if not facts.options.libraries:
        return []
    from pyrunc.plan import preload

    # Entering a mount namespace again would undo a chroot (setns(2)).
    return preload.in_init(facts, preload.fresh_namespaces(spaces) & ~(0 if rooted else preload.MOUNT))


def _filesystem(spec: "Config", facts: "Facts", spaces: Namespaces, mounts: Mounts) -> "list[Step]":
    """The container's tree, in the mount namespace that it has of its own."""
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
    # Before anything becomes read-only.
    steps.append(Step("make-working-directory", "process.cwd", spec.process.cwd))
    steps += [
        Step("sysctl", f"linux.sysctl.{name}", _sysctl_path(name), value) for name, value in spec.linux.sysctl.items()
    ]
    # Read-only first: a mask lies over it, and a recursive read-only clone must not undo a mask.
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
        # Only now: done earlier, it would reach the host's mounts (and private it is already).
        steps.append(Step("root-propagation", "linux.rootfsPropagation", mounts.propagation))
    if spec.root.readonly:
        steps.append(Step("root-read-only", "root.readonly"))
    return steps


def mounts_on_host(spec: "Config", facts: "Facts") -> bool:
    """Whether the container's mounts are made among the host's: it has no mount namespace, and the privileges to."""
    spaces = Namespaces(spec)
    return "mount" not in spaces and "user" not in spaces and facts.privileged and not facts.mapped


def _bare(spec: "Config", facts: "Facts", root: str) -> "list[Step]":
    """A changed root and nothing else: a user namespace may mount in its own mount namespace only."""
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
    """Right before the pid is recorded, when init is all there."""
    group = (facts.options.resctrl, facts.container_id, rdt.clos_id)
    schemata = (rdt.l3_cache_schema, rdt.mem_bw_schema, rdt.schemata)
    return Step("intel-rdt", "linux.intelRdt", *group, *schemata, int(rdt.enable_monitoring))


def _second(pair: "tuple[str, int]") -> int:
    return pair[1]


def _sysctl_path(name: str) -> str:
    """``net.ipv4.ip_forward`` or ``net/ipv4/conf/eth0.1/forwarding``, below /proc/sys (sysctl(8))."""
    slash, dot = name.find("/"), name.find(".")
    return (
        name
        if slash >= 0 and (dot < 0 or slash < dot)
        else name.replace("/", "\0").replace(".", "/").replace("\0", ".")
    )


def _ending(spec: "Config", facts: "Facts") -> "list[Step]":
    """The steps after `start` has asked for the program, or with `run` at once."""
    assert spec.process is not None
    steps = [cgroups.verifying(facts) if facts.options.run else Step("await-start", "")]
    steps += process.final(spec.process, spec.linux.seccomp, facts, hooks.at_start(spec, facts))
    return steps + hooks.after_start(spec, facts)


def compile_exec(spec: "Config", process_: "Process", facts: "Facts") -> "list[Step]":
    """Another process in a running container: its cgroups, its namespaces, then as for init."""
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
    # A pid namespace is entered by a child only, and the child must be the caller's (pid_namespaces(7)).
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
        # As late as the runtime acts, and before the program runs: a file that cannot be written is an error of ours.
        steps.append(Step("pid-file", "--pid-file", facts.options.pid_file))
    return steps + process.final(process_, spec.linux.seccomp, facts)
