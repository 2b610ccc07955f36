"""A launch with libraries in the init path: wraps Launch.run, and executes the runtime's steps around loading."""

import posix
from time import sleep

from pyrunc import log
from pyrunc.cgroup.host import discover
from pyrunc.cgroup.manager import Cgroups
from pyrunc.cgroup.paths import directories
from pyrunc.errors import PyruncError, StepError
from pyrunc.hostile import leftovers
from pyrunc.hostile.changes import Baseline
from pyrunc.hostile.handover import Handover
from pyrunc.hostile.limits import Limits, set_devices
from pyrunc.hostile.renamed import inodes, rename_back
from pyrunc.hostile.streams import Streams
from pyrunc.hostile.surroundings import Surroundings
from pyrunc.launch import helper
from pyrunc.launch.conversation import HelperEnded
from pyrunc.launch.placement import verify_placement
from pyrunc.linux.files import read
from pyrunc.linux.procfs import descendants
from pyrunc.plan.namespaces import FLAGS, PROC_NAMES
from pyrunc.plan.preload import PLACE, environment, library_path
from pyrunc.plan.protocol import (
    PLACE_SLOTS,
    SLOT_CAPTURE,
    SLOT_HELPER,
    SLOT_IPC_NAMESPACE,
    SLOT_LIBRARY,
    SLOT_MOUNT_NAMESPACE,
    SLOT_NETWORK_NAMESPACE,
    SLOT_STATIC,
    SLOT_UTS_NAMESPACE,
)
from pyrunc.plan.steps import ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.groups import Groups
    from pyrunc.launch.conversation import Launch
    from pyrunc.plan.steps import Step


SPACES = {
    SLOT_MOUNT_NAMESPACE: "mnt",
    SLOT_IPC_NAMESPACE: "ipc",
    SLOT_UTS_NAMESPACE: "uts",
    SLOT_NETWORK_NAMESPACE: "net",
}
"""{slot: name in /proc/PID/ns of the namespace to which the helper returns}."""


def run(launch: "Launch", options: "Any", opened: "dict[int, int]") -> None:
    """Calls Launch.run with the libraries of ``options`` (CreateOptions or ExecOptions).

    Every error names the libraries. After an error, all processes and cgroups that they made are removed. While this
    runs, any new child process is taken for a library's.
    """
    opened[SLOT_CAPTURE] = posix.memfd_create("capture", posix.MFD_CLOEXEC)
    for number, library in enumerate(options.libraries):
        opened[SLOT_LIBRARY + number] = posix.dup(library)
    loading = Loading(launch, options, opened, _directories(launch))
    if options.placement == "legacy":
        _legacy(launch, options)
    else:
        loading.prepare()
    with leftovers.coming_to_us():
        _run(launch, options, opened, loading)


def _run(launch: "Launch", options: "Any", opened: "dict[int, int]", loading: "Loading") -> None:
    children = descendants(posix.getpid())
    try:
        launch.run(opened, options.preserve_fds)
        loading.report()
    except BaseException as error:
        leftovers.kill(lambda: descendants(posix.getpid()) - children)
        rename_back(loading.inodes)
        loading.remove_cgroups()
        if isinstance(error, HelperEnded):
            error.args = (loading.worded(str(error)),)
        elif isinstance(error, StepError):
            where = f"{PLACE} {loading.names}" if error.where == PLACE else error.where
            raise StepError(error.step, where, loading.named(error.what), error.errno) from None
        elif isinstance(error, PyruncError):
            raise PyruncError(loading.worded(str(error))) from None
        raise
    finally:
        loading.close()


def _directories(launch: "Launch") -> "dict[str, str]":
    """Returns {hierarchy: directory} of the cgroups in which the plan places the process."""
    (place,) = (step for step in launch.steps if step.kind == "cgroup-place")
    return directories(place.args[0])  # type: ignore[arg-type]


def _legacy(launch: "Launch", options: "Any") -> None:
    """Prepares the legacy order: the loader maps the library while the parent process writes the pid into the cgroups.

    No message says when loading has ended, and a library's child process may hold the channel open. So every reply has
    a time limit.
    """
    in_init = options.preload_at == "init"
    launch.environment = [] if in_init else environment(len(options.libraries), options.preserve_fds)
    for step in launch.steps:
        if step.kind in ("cgroup-create", "cgroup-limit", "cgroup-devices"):
            launch.actions[step.kind](launch, step)
    launch.limits.settle()
    cgroups = launch.cgroups or Cgroups(_directories(launch))

    def late(pid: int) -> None:
        sleep(options.legacy_delay)
        try:
            cgroups.place(pid)
        except PyruncError as error:
            log.warning(str(error))  # ignored, as the runtimes of 2018 did

    if in_init:
        launch.on_pid = late
    else:
        launch.on_spawn = late
    for kind in ("cgroup-create", "cgroup-limit", "cgroup-devices", "cgroup-place", "cgroup-verify"):
        launch.actions[kind] = lambda *_: None  # done above, or not part of the legacy order
    launch.limit(options.preload_timeout)


class Loading:
    """The loading of libraries during one launch: the state of the process before, the state after, and what is
    restored."""

    def __init__(
        self,
        launch: "Launch",
        options: "Any",
        opened: "dict[int, int]",
        directories: "dict[str, str]",
    ) -> None:
        self.launch = launch
        self.options = options
        self.opened = opened
        self.names = ", ".join(options.library_names)
        self.capture = opened[SLOT_CAPTURE]
        self.directories = directories
        self.baseline: Baseline | None = None
        self.place = b""
        """The content of /proc/PID/cgroup before loading."""
        self.limits: Limits | None = None
        self.inodes: dict[str, int] = {}
        """Inodes of the container's cgroups."""
        self.streams: Streams | None = None
        self.surroundings: Surroundings | None = None
        self.handover: Handover | None = None
        self.spare = -1
        self.undone: list[str] = []
        self.left: list[str] = []
        """Changes on the host that cannot be undone."""

    def prepare(self) -> None:
        """Prepares ``launch.run``: the programs that are needed, and the runtime's steps around loading."""
        launch, options = self.launch, self.options
        launch.session = True
        static = self.opened[SLOT_STATIC] = helper.sealed("pyrunc-helper", path=helper.STATIC)
        if options.preload_at == "init":
            launch.environment = []  # starts the dynamic build, which has dlopen(3)
        else:
            self.opened[SLOT_HELPER] = helper.sealed("pyrunc-helper", path=helper.DYNAMIC)
        self.handover = Handover(launch, static, options.preserve_fds, self._watch)
        self._look_while_the_helper_starts()
        launch.actions.update(self.actions())

    def _look_while_the_helper_starts(self) -> None:
        """Reads the cgroups as soon as their limits are set. This takes about as long as the helper's start."""
        steps, actions = self.launch.steps, self.launch.actions
        last = ahead(steps) - 1
        if any(step.kind == "systemd-scope" for step in steps):
            return  # systemd creates the cgroups with the placement: the step `preload-baseline` reads them
        if last < 0:
            self.launch.on_spawn = lambda _: self._look()
            return
        original = actions[steps[last].kind]

        def act(launch: "Launch", step: "Step") -> None:
            original(launch, step)
            if step is steps[last]:
                launch.limits.settle()
                self._look()

        actions[steps[last].kind] = act

    def _look(self) -> None:
        cgroups = self.launch.cgroups
        self.inodes = inodes(self.directories.values())
        host = discover() if cgroups is None else cgroups.host()
        self.limits = Limits(self.directories, host, cgroups.made if cgroups is not None else ())
        shared = self.launch.stdio or range(3 + self.options.preserve_fds)
        self.streams = Streams(shared)
        self.surroundings = Surroundings(self._roots())

    def _roots(self) -> "list[str]":
        """Returns the container's root directory on the host; nothing for exec."""
        return [str(step.args[0]) for step in self.launch.steps if step.kind in ("root", "host-root")]

    def _watch(self) -> None:
        if self.limits is not None:
            self.limits.thaw()

    def release(self) -> None:
        """Closes the mount namespace that was used for loading."""
        if self.spare >= 0:
            posix.close(self.spare)
        self.spare = -1

    def close(self) -> None:
        """Closes the descriptors of this launch."""
        self.release()
        if self.handover is not None:
            self.handover.close()
        if self.limits is not None:
            self.limits.close()

    def report(self) -> None:
        """Logs in one line what was restored, and what the libraries left on the host."""
        undone = self.undone + (self.handover.undone if self.handover is not None else [])
        if undone:
            log.warning(f"--preload-lib {self.names}: undone: {', '.join(undone)}")
        if self.left:
            left = ", ".join(self.left)
            log.warning(f"--preload-lib {self.names}: appeared on the host while loading, and stays: {left}")

    def worded(self, message: str) -> str:
        """Returns an error message with the libraries' names and the last line that was written while loading."""
        said = self.said()
        return f"--preload-lib {self.names}: {message}{f': {said}' if said and said not in message else ''}"

    def named(self, text: str) -> str:
        """Replaces the descriptor paths by which the loader knows the libraries with their names."""
        for number, name in enumerate(self.options.library_names):
            text = text.replace(library_path(number, self.options.preserve_fds), name)
        return text

    def said(self) -> str:
        """Returns the last line that was written while loading."""
        text = posix.pread(self.capture, 4096, max(0, posix.fstat(self.capture).st_size - 4096))
        lines = text.decode("utf-8", "replace").split("\n")
        line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return self.named(line).removeprefix("pyrunc-init: ").removeprefix("ERROR: ")

    def actions(self) -> "dict[str, Any]":
        """Returns the actions for the runtime's steps around loading."""
        return {"preload-baseline": self.begin, "preload-check": self.check, "preload-settings": self.settle}

    def begin(self, launch: "Launch", _: "Step") -> None:
        """Records the state before loading. Libraries are loaded after the reply to this step."""
        pid = launch.process
        if self.limits is None:
            self._look()
        (types,) = [step.args[0] for step in launch.steps if step.kind == "unshare" and step.where == PLACE] or [0]
        fresh = {PROC_NAMES[name] for name, flag in FLAGS.items() if flag & types}  # type: ignore[operator]
        self.baseline = Baseline(pid, fresh)
        self.place = read(f"/proc/{pid}/cgroup")
        assert self.handover is not None
        # At ``exec`` the process has already left the runtime's namespaces.
        old = pid if self.options.preload_at == "init" else "self"
        for slot, name in SPACES.items():
            if name not in fresh:
                continue
            place = 3 + self.options.preserve_fds + PLACE_SLOTS + slot
            self.handover.extra[place] = posix.open(f"/proc/{old}/ns/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
        launch.limit(self.options.preload_timeout)

    def check(self, launch: "Launch", step: "Step") -> None:
        """Loading has ended: restores the process's state, and lets it continue."""
        launch.limit(None)
        pid = launch.process
        assert self.baseline is not None and self.handover is not None
        self.undone = self.baseline.restore(pid)
        assert self.surroundings is not None
        self.undone += self.surroundings.unmount()
        if launch.cgroups is not None and read(f"/proc/{pid}/cgroup") != self.place:
            self.undone += [f"cgroup {path} renamed" for path in rename_back(self.inodes)]
            verify_placement(launch.cgroups, pid)
            self._return_from_below(launch.cgroups, pid)
        assert self.limits is not None
        if self.limits.devices_differ():
            # The helper's next steps call mknod(2), which fails with EPERM while the rules are being written.
            self._restore_limits(launch.steps[launch.steps.index(step) + 1])
        # The last process that closes a mount namespace has to tear it down. Kept open, it does not delay the start.
        self.spare = posix.open(f"/proc/{pid}/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
        self.handover.give_back(launch.steps.index(step))
        launch.meanwhile = self.release

    def settle(self, launch: "Launch", step: "Step") -> None:
        """Restores what the process shares with others, before the helper gets its next reply."""
        assert self.limits is not None and self.streams is not None and self.surroundings is not None
        self._restore_limits(step)
        self.undone += self.streams.restore()
        self.left = self.surroundings.new()
        if self.said():
            log.debug(f"--preload-lib {self.names} wrote while loading: {self.said()}")
        self.limits.close()

    def _restore_limits(self, settings: "Step") -> None:
        """Restores the settings of the cgroups. ``settings``: the step ``preload-settings``, which has the rules."""
        assert self.limits is not None
        # First: with child cgroups, the kernel refuses to change device rules and others (cgroup-v1/devices.rst).
        self.undone += [f"cgroup {path} removed" for path in self.remove_cgroups()]
        place, rules, running = settings.args
        self.undone += self.limits.restore(lambda: set_devices(str(place), rules, bool(running)))  # type: ignore[arg-type]

    def _return_from_below(self, cgroups: "Groups", pid: int) -> None:
        """Moves the process out of a cgroup below the container's. A program may create such a cgroup for itself, but
        one that a library created or chose would add its limits to the container's."""
        found = read(f"/proc/{pid}/cgroup")
        lines = zip(found.splitlines(), self.place.splitlines(), strict=False)
        if not any(now.startswith(before + b"/") for now, before in lines):
            return  # it is not in another place either: verify_placement has checked that
        cgroups.place(pid)
        if read(f"/proc/{pid}/cgroup") != self.place:
            raise PyruncError("loading moved the process to another cgroup of the container's")
        self.undone.append("cgroup below the container's left")

    def remove_cgroups(self) -> "list[str]":
        """Removes cgroups that were created below the container's since ``begin``. Returns them, parents first."""
        if self.limits is None:
            return []
        found = sorted(_below(self.directories) - self.limits.below)
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
    """Returns every cgroup below ``directories``."""
    from pyrunc.cgroup.tree import childless, tree

    return {path for top in directories.values() if not childless(top) for path in tree(top) if path != top}
