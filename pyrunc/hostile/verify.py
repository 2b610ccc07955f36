"""verify-preload: starts containers with a library in the init path, and reports which cgroups init was in."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pyrunc.cgroup.groups import Groups
from pyrunc.cgroup.host import UNIFIED, discover, paths_of
from pyrunc.container.container import Container
from pyrunc.container.create import Creation
from pyrunc.errors import PyruncError
from pyrunc.hostile import observer
from pyrunc.hostile.library import open_checked
from pyrunc.linux import procfs
from pyrunc.plan.options import CreateOptions
from pyrunc.spec.load import load

HOME, BACK, TOP, ELSEWHERE, REFUSED = "home", "moved back", "root", "elsewhere", "refused"
UNKNOWN = "unknown"
"""The process has ended. What /proc then shows (on v1, the root cgroup) does not say which cgroup it was in."""
PATIENCE = 0.3
"""Seconds to wait for threads of the library to act."""
ESCAPES = (TOP, ELSEWHERE)
MARKS = {HOME: ".", BACK: "+", TOP: "R", ELSEWHERE: "E", REFUSED: "x", UNKNOWN: "?"}


@dataclass
class Run:
    """The result for one container: {hierarchy: mark}, and the reason if it was refused."""

    marks: dict[str, str]
    reason: str = ""

    @property
    def escaped(self) -> bool:
        """Whether init left its cgroup in any hierarchy."""
        return any(mark in ESCAPES for mark in self.marks.values())

    @property
    def mixed(self) -> bool:
        """Whether init left some v1 hierarchies but not others: the race was met half-way."""
        return self.escaped and any(mark == HOME for name, mark in self.marks.items() if name != UNIFIED)


@dataclass
class Series:
    """All runs with one combination of ``placement`` and ``preload_at``."""

    placement: str
    preload_at: str
    runs: list[Run] = field(default_factory=list)

    @property
    def escaped(self) -> int:
        """The number of runs that left at least one hierarchy."""
        return sum(run.escaped for run in self.runs)

    def sentence(self) -> str:
        """Returns the summary for the user."""
        refused = sum(bool(run.reason) for run in self.runs)
        mixed = sum(run.mixed for run in self.runs)
        words = (
            f"{self.placement} ({self.preload_at}): {self.escaped} of {len(self.runs)} runs left at least one hierarchy"
        )
        words += f", {mixed} of them some and not others" if mixed else ""
        return words + (f"; {refused} were refused: {self.reason()}" if refused else "")

    def reason(self) -> str:
        """Returns the reason of the first refused run."""
        return next((run.reason for run in self.runs if run.reason), "")


@contextmanager
def plain_bundle(bundle: str | None) -> Iterator[str]:
    """Yields ``bundle``, or a temporary bundle with busybox."""
    if bundle:
        yield bundle
        return
    from pyrunc.spec.default import config
    from pyrunc.spec.json_text import dumps

    busybox = shutil.which("busybox")
    if busybox is None:
        raise PyruncError("no busybox to start: apt-get install busybox-static, or give --bundle")
    with tempfile.TemporaryDirectory(prefix="pyrunc-verify-") as directory:
        rootfs = Path(directory, "rootfs")
        for name in ("bin", "proc", "dev", "sys"):
            (rootfs / name).mkdir(parents=True)
        shutil.copy(busybox, rootfs / "bin" / "busybox")
        made = config()
        made["process"].update(terminal=False, args=["/bin/busybox", "sleep", "1000"])
        Path(directory, "config.json").write_text(dumps(made))
        yield directory


@contextmanager
def _no_stdio() -> Iterator[None]:
    """Gives containers that are started meanwhile /dev/null, so that a library's output does not get into the
    report."""
    sys.stdout.flush()
    kept = [os.dup(number) for number in range(3)]
    null = os.open("/dev/null", os.O_RDWR)
    try:
        for number in range(3):
            os.dup2(null, number)
        yield
    finally:
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(null)


class Verifier:
    """Starts the containers. ``root``: their state directory; ``delay``: (shortest, longest) in milliseconds;
    ``timeout``: seconds that loading may take."""

    def __init__(
        self, library: str, bundle: str, root: str, delay: tuple[float, float] = (0, 0), timeout: float = 10.0
    ) -> None:
        self.library = library
        self.bundle = bundle
        self.root = root
        self.delay = delay
        self.timeout = timeout
        self.count = 0
        self.names = [hierarchy.name for hierarchy in discover().hierarchies]

    def series(self, placement: str, preload_at: str, runs: int, done: Callable[[], None]) -> Series:
        """Runs ``runs`` containers with one combination. Calls ``done`` after each."""
        made = Series(placement, preload_at)
        for number in range(runs):
            made.runs.append(self.once(placement, preload_at, number / max(1, runs - 1)))
            done()
        return made

    def once(self, placement: str, preload_at: str, share: float) -> Run:
        """Runs one container. ``share`` (0 to 1) chooses its delay between the shortest and the longest."""
        self.count += 1
        name = f"verify-{os.getpid()}-{self.count}"
        options = CreateOptions(
            root=self.root,
            bundle=self.bundle,
            libraries=[open_checked(self.library)],
            library_names=[self.library],
            observer=observer.run,
            preload_at=preload_at,
            placement=placement,
            preload_timeout=self.timeout,
            legacy_delay=(self.delay[0] + share * (self.delay[1] - self.delay[0])) / 1000,
        )
        creation = Creation(name, load(f"{self.bundle}/config.json"), options)
        try:
            with _no_stdio():
                pid = creation.make()
            return self._look(creation, pid)
        except PyruncError as error:
            return Run(dict.fromkeys(self.names, REFUSED), str(error))
        finally:
            os.close(options.libraries[0])
            creation.remove()  # also reaps init, a child process

    def _look(self, creation: Creation, pid: int) -> Run:
        """Returns init's cgroups now and again when its program runs."""
        _await_threads(pid)
        marks = self._marks(creation, pid)
        if creation.options.placement == "legacy":
            return Run(marks)
        Container.load(creation.record.id, self.root).start()
        later = self._marks(creation, pid)
        # A hierarchy that init had left by then, and in which it now is where it belongs, was corrected by `start`.
        now = {name: BACK if mark in ESCAPES else mark for name, mark in marks.items()}
        # A program that has ended by then was in its cgroups when it was started, because `start` has checked that.
        return Run({name: later[name] if later[name] in ESCAPES else now[name] for name in marks})

    def _marks(self, creation: Creation, pid: int) -> dict[str, str]:
        cgroups = Groups(creation.facts.cgroups) if creation.launch.cgroups is None else creation.launch.cgroups
        moved = cgroups.read_back(pid)
        try:
            found = paths_of(pid)
        except OSError:
            found = {}
        # Checked after reading: a process that still runs was running when its cgroups were read.
        if procfs.exiting(pid):
            return dict.fromkeys(self.names, UNKNOWN)
        marks = {}
        for name in self.names:
            if name not in moved:
                marks[name] = BACK if name in cgroups.moved_back else HOME
            else:
                marks[name] = TOP if found.get(name) == "/" else ELSEWHERE
        return marks


def _await_threads(pid: int) -> None:
    """Waits for threads that a library left in init, because they may move it late."""
    end = time.monotonic() + PATIENCE
    while len(os.listdir(f"/proc/{pid}/task")) > 1 and time.monotonic() < end:
        time.sleep(0.005)


def grid(series: Series, columns: int) -> str:
    """Returns the grid as text: a row for each hierarchy, a column for each run, folded at ``columns``."""
    names = list(series.runs[0].marks) if series.runs else []
    width = max((len(name or "cgroup2") for name in names), default=0)
    fold = max(10, columns - width - 2)
    return "\n\n".join(
        "\n".join(
            f"{name or 'cgroup2':<{width}}  {''.join(MARKS[run.marks[name]] for run in series.runs[at : at + fold])}"
            for name in names
        )
        for at in range(0, len(series.runs), fold)
    )


LEGEND = "  ".join(f"{mark} {word}" for word, mark in (*MARKS.items(),)).replace("home", "where it belongs")
