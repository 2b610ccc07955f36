"""A launch with libraries in the init path: what surrounds Launch.run, and the runtime's steps of it."""

import posix
from time import sleep

from pyrunc import log
from pyrunc.container import helper
from pyrunc.errors import PyruncError, StepError
from pyrunc.hostile.traces import Baseline
from pyrunc.plan import slots
from pyrunc.plan.preload import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.container.launch import Launch
    from pyrunc.plan.steps import Step


def run(launch: "Launch", options: "Any", opened: "dict[int, int]", place: "Callable[[int], None]") -> None:
    """Launch.run with the libraries of ``options`` (CreateOptions or ExecOptions).

    ``place`` (legacy only) is called with 0 before the helper exists, then with the pid to be placed. Every failure is
    told with the names of the libraries.
    """
    import _prctl

    # What a library forks and leaves comes to us, to be found and killed.
    _prctl.prctl(_prctl.PR_SET_CHILD_SUBREAPER, 1)
    names = ", ".join(options.library_names)
    capture = posix.memfd_create("capture", posix.MFD_CLOEXEC)
    opened[slots.CAPTURE] = capture
    for number, library in enumerate(options.libraries):
        opened[slots.LIBRARY + number] = posix.dup(library)
    launch.timeout = options.preload_timeout
    state = _State(names, capture)
    launch.actions.update(state.actions(launch.actions))
    if options.placement == "legacy":
        _legacy(launch, options, place)
    else:
        opened[slots.HELPER] = helper.sealed("pyrunc-helper", path=helper.DYNAMIC)
    try:
        launch.run(opened, options.preserve_fds)
    except StepError:
        raise
    except PyruncError as error:
        said = state.said()
        more = f": {said}" if said and said not in str(error) else ""
        raise PyruncError(f"--preload-lib {names}: {error}{more}") from None


def _legacy(launch: "Launch", options: "Any", place: "Callable[[int], None]") -> None:
    """The order of old: the loader maps the library while the parent writes the pid into the cgroups."""
    in_init = options.preload_at == "init"
    launch.environment = [] if in_init else environment(len(options.libraries), options.preserve_fds)
    place(0)

    def late(pid: int) -> None:
        sleep(options.legacy_delay)
        try:
            place(pid)
        except PyruncError as error:
            log.warning(str(error))  # as then: nobody looked

    if in_init:
        launch.on_pid = late
    else:
        launch.on_spawn = late
    for kind in ("cgroup-create", "cgroup-devices", "cgroup-place", "cgroup-verify"):
        launch.actions.pop(kind, None)


class _State:
    """The baseline of one launch, and the steps that use it."""

    def __init__(self, names: str, capture: int) -> None:
        self.names = names
        self.capture = capture
        self.baseline: Baseline | None = None

    def said(self) -> str:
        """The last line that was written while loading."""
        text = posix.pread(self.capture, 4096, max(0, posix.fstat(self.capture).st_size - 4096))
        lines = text.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def actions(self, before: "dict[str, Any]") -> "dict[str, Any]":
        """The steps of the runtime that differ: the placement takes the baseline, and the check compares."""
        placing, verify = before.get("cgroup-place"), before.get("cgroup-verify")

        def place(launch: "Launch", step: "Step") -> None:
            if placing is not None:
                placing(launch, step)
            self.baseline = Baseline(launch.helper)

        def baseline(launch: "Launch", step: "Step") -> None:
            self.baseline = Baseline(launch.pid)

        def check(launch: "Launch", step: "Step") -> None:
            pid = launch.pid or launch.helper
            said = self.said()
            if "cannot be preloaded" in said:
                raise PyruncError(said)
            if said:
                log.debug(f"--preload-lib {self.names} wrote while loading: {said}")
            if verify is not None:
                verify(launch, step)
            if self.baseline is not None:
                undone = self.baseline.restore(pid, self.names)
                if undone:
                    log.notice(f"--preload-lib {self.names}: undone: {', '.join(undone)}")

        return {"cgroup-place": place, "preload-baseline": baseline, "preload-check": check}
