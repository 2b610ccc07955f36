"""What `make bench` measures: runtimes with a state directory of their own, and bundles that all of them take."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from harness import ROOTFS

KIB = 1024


class Failed(Exception):
    """A command failed. ``str()``: which one, its exit status and what it said."""


class Process:
    """A command of a runtime that runs. What it says goes to a file: a pipe would be held open by the container."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.words = f"{name} {' '.join(command[3:])}"
        self.said: IO[bytes] = tempfile.TemporaryFile()
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=null, stdout=null, stderr=self.said)

    def status(self) -> int:
        """Its exit status, when it has ended."""
        return self.process.wait()

    def failure(self) -> str:
        """Empty when it succeeded; else what is to be told."""
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
        """Runs to the end; what it says is nothing to us."""
        process = self.begin(*words)
        process.failure()
        return process.status()

    def ok(self, *words: str) -> None:
        """Runs to the end; Failed when it does."""
        if failure := self.begin(*words).failure():
            raise Failed(failure)

    def refusal(self) -> str:
        """Why it runs no container on this host, or nothing."""
        return self.begin("run", "-b", str(self.bundle), self.new_id()).failure()


def write_bundle(path: Path, args: list[str], change: "Callable[[dict[str, Any]], object] | None" = None) -> None:
    """The bundle of all: what `runc spec` writes, without a terminal. ``change`` may change its config."""
    from pyrunc.spec.default import config

    made: dict[str, Any] = config()
    made["ociVersion"] = "1.0.2"  # what the peers of Debian 12 know
    made["process"].update(terminal=False, args=args)
    made["root"] = {"path": str(ROOTFS), "readonly": True}
    if change is not None:
        change(made)
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(made))


def timed(action: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.monotonic()
    action()
    return (time.monotonic() - begun) * 1000


def run(runtime: Runtime, bundle: "Path | None" = None) -> float:
    """Milliseconds of `run` of /bin/true, to its end."""
    name = runtime.new_id()
    return timed(lambda: runtime.ok("run", "-b", str(bundle or runtime.bundle), name))


def in_turn(runtimes: list[Runtime], measure: Callable[[Runtime], float], rounds: int) -> dict[str, float]:
    """{runtime: median in ms}; every round has each runtime once, in another order."""
    found: dict[str, list[float]] = {runtime.name: [] for runtime in runtimes}
    for number in range(rounds + 1):
        turn = number % len(runtimes)
        for runtime in runtimes[turn:] + runtimes[:turn]:
            spent = measure(runtime)
            if number:  # the first round warms up
                found[runtime.name].append(spent)
    return {name: statistics.median(values) for name, values in found.items()}
