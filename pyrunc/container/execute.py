"""Another process in a running container."""

import posix

from pyrunc.container import process
from pyrunc.container.actions import common_actions, send_listener
from pyrunc.container.launch import Launch
from pyrunc.container.options import ExecOptions
from pyrunc.container.placement import verify_placement
from pyrunc.container.state import write_pid_file
from pyrunc.errors import NotRunning, PyruncError, WrongStatus
from pyrunc.plan import slots
from pyrunc.plan.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.container import Container
    from pyrunc.container.launch import Action
    from pyrunc.plan.steps import Step
    from pyrunc.spec.types import Process


def launch(container: "Container", process_: "Process", options: ExecOptions) -> int:
    """Executes ``process_``; returns its pid. Raises PyruncError or StepError; then no process is left."""
    status = container.status
    if status not in ("running", "created", "paused"):
        raise WrongStatus(f"cannot exec in a container that is not running: {container.id} is {status}")
    if status == "paused" and not options.ignore_paused:
        raise WrongStatus("cannot exec in a paused container (use --ignore-paused to override)")
    data = container._state.data
    target = process.pidfd(data["pid"], data["start_time"])
    if target < 0:
        raise NotRunning
    settings = _settings(container, options)
    from pyrunc.plan.compile import compile_exec

    steps = compile_exec(container.config, process_, settings)
    cgroups = _cgroups(container, options.cgroup)
    run = Launch(steps, _actions(cgroups, container))
    run.meanwhile = options.meanwhile
    run.stdio = options.stdio
    opened = {slots.TARGET: target}
    if options.console >= 0:
        opened[slots.CONSOLE] = options.console
    try:
        if options.libraries:
            from pyrunc.hostile import launching

            directories = cgroups.dirs if cgroups is not None else {}
            launching.run(
                run, options, opened, directories, lambda pid: cgroups.place(pid) if pid and cgroups else None
            )
        else:
            run.run(opened, options.preserve_fds)
        if cgroups is not None and not cgroups.fell_back and options.placement != "legacy":
            # A thread or a daemon can move it as late as this (docs/hostile-libraries.md).
            verify_placement(cgroups, run.pid)
        if options.pid_file:
            write_pid_file(options.pid_file, run.pid)
    except BaseException as error:
        run.kill()
        if isinstance(error, PyruncError) and process.exiting(data["pid"]):
            raise NotRunning from None  # whatever could not be found any more
        raise
    finally:
        posix.close(target)
        if options.trace:
            from pyrunc.plan.explain import write_trace

            write_trace(options.trace, steps, run.times)
    return run.pid


def _settings(container: "Container", options: ExecOptions) -> Settings:
    settings = Settings(container.id, container.bundle)
    settings.privileged = posix.geteuid() == 0
    settings.no_new_keyring = bool(container._state.data["no_new_keyring"])
    settings.root = f"/proc/{container.pid}/root"
    settings.trace = bool(options.trace)
    if container.config.linux.seccomp is not None:
        from pyrunc.container.filters import Filters

        settings.filters = Filters(container._state.directory.rpartition("/")[0])
    settings.extra_env = options.extra_env
    settings.libraries, settings.preload_at = len(options.libraries), options.preload_at
    settings.placement, settings.preserve_fds = options.placement, options.preserve_fds
    return settings


def _cgroups(container: "Container", places: "Sequence[str]") -> "Cgroups | None":
    """The container's cgroups, or those ``places`` below them (``--cgroup [controllers:]path``, one for each)."""
    from pyrunc.cgroup.manager import Cgroups

    dirs = dict(container._state.data["cgroups"])
    if not dirs:
        return None
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
    return Cgroups(dirs)


def _hierarchies(place: str, controllers: str, dirs: "dict[str, str]") -> "set[str]":
    """Names of those that have the ``controllers`` (separated by commas)."""
    found = set()
    for controller in controllers.split(","):
        name = next((name for name in dirs if controller and controller in name.split(",")), None)
        if name is None:
            raise PyruncError(f"--cgroup {place}: the container has no cgroup of a controller {controller!r}")
        found.add(name)
    return found


def _actions(cgroups: "Cgroups | None", container: "Container") -> "dict[str, Action]":
    def place(run: Launch, _: "Step") -> None:
        if cgroups is not None:
            cgroups.place(run.process, fallback=container._init)

    def verify(run: Launch, _: "Step") -> None:
        if cgroups is not None and not cgroups.fell_back:
            verify_placement(cgroups, run.process)

    def seccomp_listener(run: Launch, step: "Step") -> None:
        from pyrunc.container.state_text import state_text

        send_listener(run, step, state_text(container, container.status, container.pid))

    return {
        **common_actions(),
        "cgroup-place": place,
        "cgroup-verify": verify,
        "seccomp-listener": seccomp_listener,
    }
