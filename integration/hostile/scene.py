"""Where the experiments and the tests of hostile libraries take place: stand-ins, their daemon, cgroups of our own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import build

TOP = Path(__file__).resolve().parents[2]
PYRUNC = str(Path(sys.prefix) / "bin" / "pyrunc")
APART = ("probe.c", "launcher.c", "interpreter.c")
"""Files of nsenter/ that are no part of the helper (setup.py)."""


class Scene:
    """``directory`` holds the stand-ins; ``daemon`` is the process of cgmanager's."""

    def __init__(self, directory: Path, daemon: "subprocess.Popen[bytes]") -> None:
        self.directory = directory
        self.daemon = daemon

    def library(self, name: str) -> str:
        """The path of one stand-in."""
        return str(self.directory / f"{name}.so")


def build_inheriting_helper(output: Path) -> None:
    """The dynamic helper with the mutation of inherit.h."""
    sources = [path for path in sorted((TOP / "nsenter").glob("*.c")) if path.name not in APART]
    steps = output.parent / "steps.h"
    subprocess.run([sys.executable, TOP / "nsenter" / "generate.py", steps], check=True)
    flags = ["-Os", "-DPYRUNC_DYNAMIC", f"-I{output.parent}", "-include", TOP / "integration" / "hostile" / "inherit.h"]
    subprocess.run(["gcc", *flags, "-o", output, *sources, "-ldl"], check=True)


def mounts() -> list[str]:
    """Mount points of the v1 hierarchies in the daemon's order: alphabetically, name=systemd last."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = {line.split()[4] for line in lines if " - cgroup " in line}
    return sorted(found, key=lambda path: (path.endswith("/systemd"), path))


@contextmanager
def own_cgroups(name: str) -> Iterator[list[Path]]:
    """Moves this process into cgroups ``name`` below its own, so that whatever a library moves or leaves is ours."""
    from pyrunc.cgroup import host

    before = {h.name: Path(f"{h.mountpoint}{h.own}") for h in host.discover().hierarchies}
    made = [path / name for path in before.values()]
    try:
        for path in made:
            path.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (path / file).exists():
                    (path / file).write_text((path.parent / file).read_text())
            (path / "cgroup.procs").write_text(str(os.getpid()))
        yield made
    finally:
        for path in made:
            (path.parent / "cgroup.procs").write_text(str(os.getpid()))
            for below in sorted(path.rglob("*"), reverse=True):
                if below.is_dir():
                    below.rmdir()
            if path.exists():
                path.rmdir()


@contextmanager
def scene() -> Iterator[Scene]:
    """Builds the stand-ins and starts the daemon; both are gone behind it."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-hostile-") as name:
        directory, socket = Path(name), f"{name}/cgmanager.sock"
        build.build(directory, socket)
        daemon = subprocess.Popen([directory / "cgmanager", socket, "/", *mounts()], stdout=subprocess.PIPE)
        try:
            assert daemon.stdout is not None and daemon.stdout.readline() == b"ready\n"
            yield Scene(directory, daemon)
            assert daemon.poll() is None, "the daemon ended, and what it should have moved stayed where it was"
        finally:
            daemon.kill()
            daemon.wait()
