"""verify-preload: containers started with a library in the init path, and where their init ended up."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pyrunc.cgroup.host import discover, paths_of
from pyrunc.container.container import Container
from pyrunc.container.create import Creation
from pyrunc.container.options import CreateOptions
from pyrunc.errors import PyruncError
from pyrunc.hostile.library import open_checked
from pyrunc.spec.load import load

HOME, BACK, TOP, ELSEWHERE, REFUSED = "home", "put back", "root", "elsewhere", "refused"
ESCAPES = (TOP, ELSEWHERE)
MARKS = {HOME: ".", BACK: "+", TOP: "R", ELSEWHERE: "E", REFUSED: "x"}


@dataclass
class Run:
    """One container: {hierarchy: mark}, and why it was refused, if it was."""

    marks: dict[str, str]
    reason: str = ""

    @property
    def escaped(self) -> bool:
        """Whether any hierarchy was left."""
        return any(mark in ESCAPES for mark in self.marks.values())


@dataclass
class Series:
    """All runs of one way: ``placement`` and ``preload_at``."""

    placement: str
    preload_at: str
    runs: list[Run] = field(default_factory=list)

    @property
    def escaped(self) -> int:
        """How many runs left at least one hierarchy."""
        return sum(run.escaped for run in self.runs)

    def sentence(self) -> str:
        """For the user."""
        refused = sum(bool(run.reason) for run in self.runs)
        mixed = sum(run.escaped and HOME in run.marks.values() for run in self.runs)
        words = (
            f"{self.placement} ({self.preload_at}): {self.escaped} of {len(self.runs)} runs left at least one hierarchy"
        )
        words += f", {mixed} of them only some" if mixed else ""
        return words + (f"; {refused} were refused: {self.reason()}" if refused else "")

    def reason(self) -> str:
        """Why the first refused run was."""
        return next((run.reason for run in self.runs if run.reason), "")


@contextmanager
def plain_bundle(bundle: str | None) -> Iterator[str]:
    """``bundle``, or one of busybox that is made for the time."""
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


class Verifier:
    """Starts the containers. ``root``: the state directory of theirs; ``delay`` in milliseconds, (least, most)."""

    def __init__(self, library: str, bundle: str, root: str, delay: tuple[float, float] = (0, 0)) -> None:
        self.library = library
        self.bundle = bundle
        self.root = root
        self.delay = delay
        self.count = 0
        self.names = [hierarchy.name for hierarchy in discover().hierarchies]

    def series(self, placement: str, preload_at: str, runs: int, tell: Callable[[], None]) -> Series:
        """``runs`` containers one way; ``tell`` is called behind each."""
        made = Series(placement, preload_at)
        for number in range(runs):
            made.runs.append(self.once(placement, preload_at, number / max(1, runs - 1)))
            tell()
        return made

    def once(self, placement: str, preload_at: str, share: float) -> Run:
        """One container; ``share`` (0 to 1) of the way from the least delay to the most."""
        import os

        self.count += 1
        name = f"verify-{os.getpid()}-{self.count}"
        options = CreateOptions(
            root=self.root,
            bundle=self.bundle,
            libraries=[open_checked(self.library)],
            library_names=[self.library],
            preload_at=preload_at,
            placement=placement,
            legacy_delay=(self.delay[0] + share * (self.delay[1] - self.delay[0])) / 1000,
        )
        creation = Creation(name, load(f"{self.bundle}/config.json"), options)
        try:
            pid = creation.make()
            return self._look(creation, pid)
        except PyruncError as error:
            return Run(dict.fromkeys(self.names, REFUSED), str(error))
        finally:
            os.close(options.libraries[0])
            creation.remove()

    def _look(self, creation: Creation, pid: int) -> Run:
        """Where init is now, and again when its program runs."""
        marks = self._marks(creation, pid)
        if creation.options.placement != "legacy":
            container = Container.load(creation.container_id, self.root)
            container.start()
        later = self._marks(creation, pid)
        return Run({name: later[name] if later[name] in ESCAPES else marks[name] for name in marks})

    def _marks(self, creation: Creation, pid: int) -> dict[str, str]:
        cgroups = creation.cgroups
        moved = cgroups.read_back(pid)
        found = paths_of(pid)
        marks = {}
        for name in self.names:
            if name not in moved:
                marks[name] = BACK if name in cgroups.put_back else HOME
            else:
                marks[name] = TOP if found.get(name) == "/" else ELSEWHERE
        return marks


def grid(series: Series) -> str:
    """A row a hierarchy, a column a run."""
    names = list(series.runs[0].marks) if series.runs else []
    width = max((len(name or "cgroup2") for name in names), default=0)
    rows = [f"{name or 'cgroup2':<{width}}  {''.join(MARKS[run.marks[name]] for run in series.runs)}" for name in names]
    return "\n".join(rows)


LEGEND = "  ".join(f"{mark} {word}" for word, mark in (*MARKS.items(),)).replace("home", "where it belongs")
