"""What `make bench` measures: runtimes with separate state directories, and bundles that all of them accept."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from harness import ROOTFS

KIB = 1024
T = TypeVar("T")


class Failed(Exception):
    """A command failed. ``str()`` is the command, its exit status and its output."""


class Process:
    """A running command of a runtime. Its output goes to a file, because the container would keep a pipe open."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.words = f"{name} {' '.join(command[3:])}"
        self.said: IO[bytes] = tempfile.TemporaryFile()
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=null, stdout=null, stderr=self.said)

    def status(self) -> int:
        """Waits for the command and returns its exit status."""
        return self.process.wait()

    def failure(self) -> str:
        """Returns an empty string after success, else the message."""
        status = self.status()
        with self.said:
            self.said.seek(0)
            text = self.said.read().decode(errors="replace").strip()
        return f"{self.words}: exit status {status}: {text or 'it said nothing'}" if status else ""


class Runtime:
    """One runtime."""

    def __init__(self, name: str, program: str, directory: Path) -> None:
        self.name = name
        self.command = [program, "--root", str(directory / name)]
        self.bundle = directory / "true"
        self.sleeping = directory / "sleep"
        self.count = 0

    def new_id(self) -> str:
        self.count += 1
        return f"bench-{os.getpid()}-{self.name}-{self.count}"

    def begin(self, *words: str) -> Process:
        return Process(self.name, [*self.command, *words])

    def status(self, *words: str) -> int:
        """Runs the command to its end and returns its exit status; the output is discarded."""
        process = self.begin(*words)
        process.failure()
        return process.status()

    def ok(self, *words: str) -> None:
        """Runs the command to its end; raises Failed if it fails."""
        if failure := self.begin(*words).failure():
            raise Failed(failure)

    def refusal(self) -> str:
        """Returns why the runtime cannot run a container on this host, or an empty string."""
        return self.begin("run", "-b", str(self.bundle), self.new_id()).failure()


def write_bundle(path: Path, args: list[str], change: "Callable[[dict[str, Any]], object] | None" = None) -> None:
    """Writes the bundle for all runtimes: the config of `runc spec`, without a terminal. ``change`` may edit it."""
    from pyrunc.spec.default import config

    made: dict[str, Any] = config()
    made["ociVersion"] = "1.0.2"  # the newest version that the peers of Debian 12 support
    made["process"].update(terminal=False, args=args)
    made["root"] = {"path": str(ROOTFS), "readonly": True}
    if change is not None:
        change(made)
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(made))


def timed(action: Callable[[], object]) -> float:
    """Returns how many milliseconds ``action`` takes."""
    begun = time.monotonic()
    action()
    return (time.monotonic() - begun) * 1000


def run(runtime: Runtime, bundle: "Path | None" = None) -> float:
    """Returns the milliseconds of a `run` of /bin/true, until it ends."""
    name = runtime.new_id()
    return timed(lambda: runtime.ok("run", "-b", str(bundle or runtime.bundle), name))


def samples(runtimes: list[Runtime], measure: "Callable[[Runtime], T]", rounds: int) -> dict[str, list[T]]:
    """Returns {runtime: one result per round}. Each round measures every runtime once, in a different order."""
    found: dict[str, list[T]] = {runtime.name: [] for runtime in runtimes}
    for number in range(rounds + 1):
        turn = number % len(runtimes)
        for runtime in runtimes[turn:] + runtimes[:turn]:
            result = measure(runtime)
            if number:  # the first round warms up
                found[runtime.name].append(result)
    return found


def in_turn(runtimes: list[Runtime], measure: Callable[[Runtime], float], rounds: int) -> dict[str, float]:
    """Returns {runtime: median in ms} of ``samples``."""
    return {name: statistics.median(values) for name, values in samples(runtimes, measure, rounds).items()}
