"""A launch with libraries in the init path: what surrounds Launch.run, and the runtime's steps of it."""

import posix
from time import sleep

from pyrunc import log
from pyrunc.container import helper
from pyrunc.container.launch import HelperEnded
from pyrunc.container.process import descendants
from pyrunc.errors import PyruncError, StepError
from pyrunc.hostile import strays
from pyrunc.hostile.traces import Baseline
from pyrunc.plan import slots
from pyrunc.plan.preload import environment, library_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.container.launch import Launch
    from pyrunc.plan.steps import Step


def run(
    launch: "Launch",
    options: "Any",
    opened: "dict[int, int]",
    directories: "dict[str, str]",
    place: "Callable[[int], None]",
) -> None:
    """Launch.run with the libraries of ``options`` (CreateOptions or ExecOptions).

    ``directories`` {hierarchy: directory} are the container's cgroups. ``place`` (legacy only) is called with 0 before
    the helper exists, then with the pid to be placed. Every failure is told with the names of the libraries, and behind
    it nothing is left that they forked or made. While this runs, a new child of ours is taken for one of theirs.
    """
    opened[slots.CAPTURE] = posix.memfd_create("capture", posix.MFD_CLOEXEC)
    for number, library in enumerate(options.libraries):
        opened[slots.LIBRARY + number] = posix.dup(library)
    loading = Loading(options, opened[slots.CAPTURE], directories)
    if options.placement == "legacy":
        _legacy(launch, options, place)
    else:
        opened[slots.HELPER] = helper.sealed("pyrunc-helper", path=helper.DYNAMIC)
        launch.actions.update(loading.actions(launch.actions))
    with strays.coming_to_us():
        _run(launch, options, opened, loading)


def _run(launch: "Launch", options: "Any", opened: "dict[int, int]", loading: "Loading") -> None:
    children = descendants(posix.getpid())
    try:
        launch.run(opened, options.preserve_fds)
    except BaseException as error:
        strays.kill(lambda: descendants(posix.getpid()) - children)
        loading.remove_cgroups()
        if isinstance(error, HelperEnded):
            error.args = (loading.told(str(error)),)
        elif isinstance(error, StepError):
            raise StepError(error.step, error.where, loading.named(error.what), error.errno) from None
        elif isinstance(error, PyruncError):
            raise PyruncError(loading.told(str(error))) from None
        raise


def _legacy(launch: "Launch", options: "Any", place: "Callable[[int], None]") -> None:
    """The order of old: the loader maps the library while the parent writes the pid into the cgroups.

    Nothing tells when loading ended, and a child of the library's may hold our channel open: every answer is limited.
    """
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
    for kind in ("cgroup-create", "cgroup-limit", "cgroup-devices", "cgroup-place", "cgroup-verify"):
        launch.actions[kind] = lambda *_: None  # done already, or never
    launch.limit(options.preload_timeout)


class Loading:
    """The time between two steps of one launch in which libraries are loaded: how the process was before, how it is
    afterwards, and what is to be done about the difference."""

    def __init__(self, options: "Any", capture: int, directories: "dict[str, str]") -> None:
        self.options = options
        self.names = ", ".join(options.library_names)
        self.capture = capture
        self.directories = directories
        self.cgroups: set[str] | None = None
        self.baseline: Baseline | None = None

    def told(self, message: str) -> str:
        """A failure with the libraries' names, and the last line that was written while loading."""
        said = self.said()
        return f"--preload-lib {self.names}: {message}{f': {said}' if said and said not in message else ''}"

    def named(self, text: str) -> str:
        """``text`` of the loader, which knows the libraries by descriptor, with their names."""
        for number, name in enumerate(self.options.library_names):
            text = text.replace(library_path(number, self.options.preserve_fds), name)
        return text

    def said(self) -> str:
        """The last line that was written while loading."""
        text = posix.pread(self.capture, 4096, max(0, posix.fstat(self.capture).st_size - 4096))
        lines = text.decode("utf-8", "replace").split("\n")
        line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return self.named(line).removeprefix("pyrunc-init: ").removeprefix("ERROR: ")

    def actions(self, before: "dict[str, Any]") -> "dict[str, Any]":
        """The runtime's steps around loading."""
        verify = before.get("cgroup-verify")

        def check(launch: "Launch", step: "Step") -> None:
            launch.limit(None)
            if "cannot be preloaded" in self.said():
                raise PyruncError(self.said())
            if verify is not None:
                verify(launch, step)
            self._compare(launch.process)

        return {"preload-baseline": self.begin, "preload-check": check}

    def begin(self, launch: "Launch", _: "Step") -> None:
        """From the answer to this step on, libraries are loaded."""
        self.cgroups = _below(self.directories)
        self.baseline = Baseline(launch.process, self.options.preserve_fds)
        launch.limit(self.options.preload_timeout)

    def _compare(self, pid: int) -> None:
        assert self.baseline is not None
        undone = self.baseline.restore(pid)
        undone += [f"cgroup {path} removed" for path in self.remove_cgroups()]
        if undone:
            log.warning(f"--preload-lib {self.names}: undone: {', '.join(undone)}")
        if self.said():
            log.debug(f"--preload-lib {self.names} wrote while loading: {self.said()}")

    def remove_cgroups(self) -> "list[str]":
        """Removes those that were made below the container's since ``begin``; returns them, parents first."""
        if self.cgroups is None:
            return []
        found = sorted(_below(self.directories) - self.cgroups)
        removed = []
        for path in reversed(found):
            try:
                posix.rmdir(path)
                removed.append(path)
            except OSError as error:
                log.warning(
                    f"--preload-lib {self.names} made cgroup {path}, which stays: {(error.strerror or '').lower()}"
                )
        return removed[::-1]


def _below(directories: "dict[str, str]") -> "set[str]":
    """Every cgroup below ``directories``."""
    from pyrunc.cgroup.existing import tree

    return {path for top in directories.values() for path in tree(top) if path != top}
