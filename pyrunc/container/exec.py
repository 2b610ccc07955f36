"""`exec`: executes another process in a running container."""

import posix

from pyrunc.container.pid_file import write_pid_file
from pyrunc.container.state_json import state_parts
from pyrunc.container.status import PAUSED
from pyrunc.errors import NotRunning, PyruncError, WrongStatus
from pyrunc.launch.actions import ACTIONS
from pyrunc.launch.conversation import Launch
from pyrunc.launch.placement import verify_placement
from pyrunc.linux import output, pidfd, procfs
from pyrunc.plan import protocol
from pyrunc.plan.facts import Facts
from pyrunc.plan.options import ExecOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.container.record import Record
    from pyrunc.plan.steps import Step
    from pyrunc.spec.types import Process


def launch(container: "Record", process_: "Process", options: ExecOptions) -> int:
    """Executes ``process_``; returns its pid. After a PyruncError or StepError no process is left."""
    status = container.require("exec")
    if status == PAUSED and not options.ignore_paused:
        raise WrongStatus("cannot exec in a paused container (use --ignore-paused to override)")
    state = container.state
    target = pidfd.open_process(state.pid, state.start_time)
    if target < 0:
        raise NotRunning
    from pyrunc.plan.compile import compile_exec

    facts = _facts(container, options, status)
    steps = compile_exec(container.config, process_, facts)
    run = Launch(steps, {**ACTIONS, "pid-file": _pid_file} if options.pid_file else ACTIONS)
    run.meanwhile, run.stdio = options.meanwhile, options.stdio
    opened = {protocol.SLOT_TARGET: target}
    if any(step.kind == "enter-root" for step in steps):
        opened[protocol.SLOT_ROOT] = _root(container)
    if options.console >= 0:
        opened[protocol.SLOT_CONSOLE] = options.console
    try:
        _run(run, options, opened)
        return run.pid
    except BaseException as error:
        run.kill()
        run.rollback.run()
        if isinstance(error, PyruncError) and procfs.exiting(state.pid):
            raise NotRunning from None  # init is ending: that is the cause, whatever the error says
        raise
    finally:
        for slot in (protocol.SLOT_TARGET, protocol.SLOT_ROOT):
            if slot in opened:
                posix.close(opened[slot])
        if options.trace:
            from pyrunc.launch.trace import write_trace

            write_trace(options, run)


def _root(container: "Record") -> int:
    """Opens init's root directory. It is init's if init is still alive afterwards: its pid then cannot have been
    reused. NotRunning if init has ended."""
    root = posix.open(f"/proc/{container.state.pid}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    if container.alive:
        return root
    posix.close(root)
    raise NotRunning


def _run(run: Launch, options: ExecOptions, opened: "dict[int, int]") -> None:
    if options.observer is not None:
        options.observer(run, options, opened)
    else:
        run.run(opened, options.preserve_fds)
    if run.cgroups is not None and not run.cgroups.fell_back and options.placement != "legacy":
        # A thread of a library, or a daemon, can move the process as late as this (docs/hostile-libraries.md).
        verify_placement(run.cgroups, run.pid)


def _pid_file(run: Launch, step: "Step") -> None:
    path = str(step.args[0])
    write_pid_file(path, run.pid)
    run.rollback.add(lambda: output.remove(path))


def _facts(container: "Record", options: ExecOptions, status: str) -> Facts:
    state = container.state
    options.bundle, options.no_new_keyring = state.bundle, state.no_new_keyring
    facts = Facts(container.id, options)
    facts.privileged = posix.geteuid() == 0
    facts.init, facts.unit = state.pid, state.systemd_unit
    facts.cgroups = _cgroups(state.cgroups, options.cgroup)
    head, facts.state_tail = state_parts(container.id, state.bundle, state.annotations)
    facts.state_head = head.replace("STATUS", status, 1)
    if options.libraries and facts.privileged:
        from pyrunc.cgroup.devices import rules

        facts.devices = rules(container.config.linux.resources)
    if "seccomp" in state.config.get("linux", {}):
        from pyrunc.resources.filter_cache import Filters

        facts.filters = Filters()
    return facts


def _cgroups(dirs: "dict[str, str]", places: "Sequence[str]") -> "dict[str, str]":
    """Returns the container's cgroups, or the cgroups ``places`` below them (the values of ``--cgroup
    [controllers:]path``). PyruncError if one is wrong or does not exist."""
    dirs = dict(dirs)
    if not dirs:
        return dirs
    taken: set[str] = set()
    for place in places:
        controllers, colon, path = place.rpartition(":")
        if not colon and len(places) > 1:
            raise PyruncError(f"--cgroup {place}: with several, each begins with its controllers and a colon")
        path = path.strip("/")
        if ".." in path.split("/"):
            raise PyruncError(f"--cgroup {place}: must lie below the container's cgroup")
        names = _hierarchies(place, controllers, dirs) if colon else set(dirs)
        if taken & names:
            raise PyruncError(f"--cgroup {place}: a hierarchy is given twice")
        taken |= names
        for name in names if path else ():
            dirs[name] = f"{dirs[name]}/{path}"
            try:
                posix.stat(dirs[name])
            except OSError as error:
                raise PyruncError(f"--cgroup {place}: {dirs[name]}: {(error.strerror or '').lower()}") from None
    return dirs


def _hierarchies(place: str, controllers: str, dirs: "dict[str, str]") -> "set[str]":
    """Returns the names of the hierarchies in ``dirs`` that have the ``controllers`` (separated by commas)."""
    found = set()
    for controller in controllers.split(","):
        name = next((name for name in dirs if controller and controller in name.split(",")), None)
        if name is None:
            raise PyruncError(f"--cgroup {place}: the container has no cgroup of a controller {controller!r}")
        found.add(name)
    return found
