"""Shared by the tests of hostile libraries: stand-ins, containers with one in the init path, a mutated pyrunc."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import Box, Change, wait_for

HOSTILE = Path(__file__).resolve().parents[1] / "hostile"
sys.path.insert(0, str(HOSTILE))

from scene import Scene  # noqa: E402

AT = ("exec", "init")
Paths = dict[str, str]


class Stage:
    """A box to run containers in, and a scene of hostile libraries."""

    def __init__(self, box: Box, scene: Scene) -> None:
        self.box = box
        self.scene = scene

    def preload(self, name: str, *words: str) -> list[str]:
        """Returns the options that load the stand-in ``name``."""
        return ["--preload-lib", self.scene.library(name), *words]

    def pyrunc(self, *words: str, without: str = "", **settings: Any) -> "subprocess.CompletedProcess[str]":
        """Runs pyrunc, or pyrunc ``without`` some counter-measures. Returns its own output, but not the container's."""
        if not without:
            return self.box.call(*words, **settings)
        command = [sys.executable, str(HOSTILE / "mutated.py"), without, "--root", str(self.box.root), *words]
        options = {"capture_output": True, "text": True, "timeout": 60, "cwd": self.box.directory, **settings}
        return subprocess.run(command, **options)

    def run(self, library: str, at: str, script: str, without: str = "", change: Change | None = None) -> str:
        """Returns the output of ``script`` in a container with ``library`` in its init path, which must start."""
        words = ["-b", str(self.box.bundle(script, change)), *self.preload(library, "--preload-at", at)]
        done = self.pyrunc("run", *words, self.box.new_id(), without=without)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def create(
        self, *words: str, script: str | list[str] = "sleep 100", without: str = "", change: Change | None = None
    ) -> str:
        """Creates a container and returns its id. Its output goes to /dev/null: it would keep the test's pipe open."""
        name = self.box.new_id()
        with open(self.box.directory / "stderr", "w+") as errors:
            quiet = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            bundle = str(self.box.bundle(script, change))
            done = self.pyrunc("create", "-b", bundle, *words, name, without=without, stderr=errors, **quiet)
            errors.seek(0)
            assert done.returncode == 0, errors.read()
        return name

    def started(self, library: str, at: str, without: str = "", change: Change | None = None) -> int:
        """Starts a container with ``library`` in its init path; returns the pid of its program."""
        words = self.preload(library, "--preload-at", at)
        name = self.create(*words, script=["sleep", "100"], without=without, change=change)
        done = self.pyrunc("start", name, without=without)
        assert done.returncode == 0, done.stderr
        return int(self.box.state(name)["pid"])


def cgroups(pid: int | str) -> Paths:
    """Returns {hierarchy: path} of a process, as seen from the host."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {name: path for _, name, path in (line.split(":", 2) for line in lines)}


def escaped(pid: int, name: str = "") -> list[str]:
    """Returns the hierarchies in which ``pid`` is not in, or below, a cgroup called ``name`` (a container's id)."""
    return [hierarchy for hierarchy, path in cgroups(pid).items() if f"/{name or 'pyrunc-test-'}" not in path]


def status(pid: int) -> dict[str, str]:
    """Returns /proc/PID/status as a dictionary."""
    rows = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: value.strip() for key, _, value in rows}


def runs(pid: int) -> bool:
    """True if the process has not ended; a zombie has ended."""
    try:
        return status(pid)["State"][0] not in "ZX"
    except FileNotFoundError:
        return False


def running(needle: str) -> list[int]:
    """Returns the pids of running processes that map a file whose name contains ``needle``."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if needle in Path(f"/proc/{pid}/maps").read_text() and runs(int(pid)):
                found.append(int(pid))
        except OSError:
            continue
    return found


def await_threads(pid: int) -> None:
    """Waits until only one thread of ``pid`` is left."""
    wait_for(lambda: status(pid)["Threads"] == "1", f"the threads of {pid}")
