"""Compiles the user's process for create and exec: working directory, user, privileges, and the program."""

from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.facts import Facts
    from pyrunc.spec.types import Process, Seccomp

NO_HOME = -1


def variable(env: "Sequence[str]", name: str) -> str:
    """Returns the value of the last ``name=...`` in ``env``, or ""."""
    prefix = f"{name}="
    return next((entry[len(prefix) :] for entry in reversed(env) if entry.startswith(prefix)), "")


def environment(env: "Sequence[str]") -> "list[str]":
    """Returns ``env`` with one entry for each name: the last one, at the position of the first (as Go's dedupEnv, which
    runc uses). An empty HOME is removed."""
    return [e for e in {entry.partition("=")[0]: entry for entry in env if "=" in entry}.values() if e != "HOME="]


def home_of(process: "Process") -> int:
    """Returns the user whose HOME the helper must read from the container's passwd, or NO_HOME if HOME is set."""
    return NO_HOME if variable(process.env, "HOME") else process.user.uid


def before_identity(process: "Process", facts: "Facts", listener: bool) -> "list[Step]":
    """Returns the steps that need privileges which end with the change of user.

    ``listener``: init will wait for `start` on its socket. The other descriptors are closed before anything in the
    image is looked up. Only the labels come before that: they need a procfs.
    """
    steps = []
    if process.selinux_label or process.apparmor_profile:
        from pyrunc.plan import labels

        steps += labels.steps(process)
    if not process.terminal:
        steps.append(Step("null-streams", "process.terminal"))
    steps.append(closing(facts, listener))
    steps.append(Step("working-directory", "process.cwd", process.cwd, 0))
    steps += rlimits(process)
    if process.scheduler is not None or process.io_priority is not None:
        from pyrunc.plan import scheduling

        steps += scheduling.steps(process)
    umask = process.user.umask
    steps.append(Step("umask", "process.user.umask", 0o022 if umask is None else umask))
    return steps


def closing(facts: "Facts", listener: bool = False) -> Step:
    """Returns the step that closes all descriptors of the host except those that the caller preserves."""
    return Step("close-descriptors", "process", int(listener), int(facts.options.preserve_directories))


def rlimits(process: "Process") -> "list[Step]":
    """Returns the steps that set the exact limits, while the process is still root."""
    return [
        Step("rlimit", f"process.rlimits[{i}]", limit.type, _signed(limit.soft), _signed(limit.hard))
        for i, limit in enumerate(process.rlimits)
    ]


def raised_limits(process: "Process") -> "list[Step]":
    """Returns the steps that raise hard limits if needed, before a user namespace makes that impossible."""
    return [
        Step("raise-limit", f"process.rlimits[{index}]", limit.type, _signed(limit.hard))
        for index, limit in enumerate(process.rlimits)
    ]


def _signed(value: int) -> int:
    """Converts to a signed integer as plans have them: RLIM_INFINITY is 2^64 - 1."""
    return value - (1 << 64) if value >= 1 << 63 else value


def identity(process: "Process") -> "list[Step]":
    """Returns the steps that drop capabilities as root, and change the user."""
    steps = []
    if process.capabilities is not None:
        from pyrunc.plan.capabilities import check

        check(process.capabilities)
    steps.append(Step("stdio-owner", "process.user.uid", process.user.uid))
    bounding = process.capabilities.bounding if process.capabilities is not None else ()
    steps.append(Step("bounding", "process.capabilities.bounding", _mask(bounding)))
    groups = [str(gid) for gid in process.user.additional_gids]
    steps.append(Step("identity", "process.user", process.user.uid, process.user.gid, groups))
    # From here on paths are looked up with the privileges that the program will have.
    effective = process.capabilities.effective if process.capabilities is not None else ()
    steps.append(Step("effective", "process.capabilities.effective", _mask(effective)))
    steps.append(Step("working-directory", "process.cwd", process.cwd, 1))
    return steps


def program(process: "Process") -> Step:
    """Returns the step that finds ``args[0]`` as the user, so that `create` already fails if it cannot be executed."""
    return Step("find-program", "process.args[0]", process.args[0], variable(process.env, "PATH"))


def final(process: "Process", seccomp: "Seccomp | None", facts: "Facts", hooks: "Sequence[Step]" = ()) -> "list[Step]":
    """Returns the steps from the start request to the execve. As few as possible follow the filter, which may not allow
    them. With no_new_privs there are none; without it, capabilities are still dropped after the filter.

    ``hooks``: programs of the image, which run with the process's privileges. Each runs in a child process that
    continues the plan in place of the process. A filter that notifies is loaded only once, so the hooks then run under
    it.
    """
    loading = _filter(seccomp, facts) if seccomp is not None else []
    notifies = any(step.kind == "seccomp-notify" for step in loading)
    steps = [_arguments(process, facts.options.extra_env), closing(facts)]
    if not notifies:
        steps += [Step("hook-confined", step.where, *step.args) for step in hooks]
    if loading and not process.no_new_privileges:
        # Without no_new_privs, loading a filter needs CAP_SYS_ADMIN (seccomp(2)), which the change of user made
        # ineffective.
        steps += [Step("effective", "linux.seccomp", -1), *loading]
    steps.append(_capabilities(process))
    if process.no_new_privileges:
        steps += [Step("no-new-privileges", "process.noNewPrivileges"), *loading]
    if notifies:
        steps += hooks
    return [*steps, Step("execute", "process.args")]


def _filter(wanted: "Seccomp", facts: "Facts") -> "list[Step]":
    """Returns the steps that load the filter and, if a rule notifies, send the listener to the agent."""
    from pyrunc.plan import seccomp

    place, filter_, flags = "linux.seccomp", seccomp.filter_of(wanted, facts.filters), seccomp.flags(wanted)
    if not seccomp.notifies(wanted):
        return [Step("seccomp", place, filter_, flags)]
    # The status is "created", as between create and start: everything but the execve is done.
    head, tail = facts.state_of("created")
    if facts.init:  # exec: the container's state contains the pid of its init, not of this process
        head, tail = f"{head}{facts.init}{tail}", ""
    listener = Step(
        "seccomp-listener", f"{place}.listenerPath", wanted.listener_path, wanted.listener_metadata, head, tail
    )
    return [Step("seccomp-notify", place, filter_, flags), listener]


def _capabilities(process: "Process") -> Step:
    sets = process.capabilities
    if sets is None:
        return Step("capabilities", "process.capabilities", 0, 0, 0, 0)  # as runc: no sets given, no capabilities
    masks = [_mask(names) for names in (sets.effective, sets.permitted, sets.inheritable, sets.ambient)]
    return Step("capabilities", "process.capabilities", *masks)


def _mask(names: "Sequence[str]") -> int:
    from pyrunc.plan.capabilities import mask

    return mask(names)


def _arguments(process: "Process", extra_env: "Sequence[str]") -> Step:
    """Returns the step with execve's arguments and environment."""
    env = environment([*process.env, *extra_env])
    return Step("arguments", "process.args", process.args, env, home_of(process))
