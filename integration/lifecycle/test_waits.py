"""A signal at each wait of docs/security.md ("Every wait, and its bound"): the awaited process or socket has
stopped, SIGTERM ends the command, and it leaves nothing half made."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box, cgroups_of, wait_for
from pyrunc.linux import procfs

QUIET: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
WITHIN = 5.0
"""Seconds, less than any bound of a wait, from the signal to the end."""


class Stopped:
    """A peer that does not answer, made before the command begins. ``words``: the command; ``reached``: it waits."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.name = ""
        self.words: list[str] = []
        self.env: dict[str, str] | None = None
        self.stays = False  # the container existed before, and stays
        self.reached: Callable[[subprocess.Popen[bytes]], object] = lambda process: sleeps(process.pid)
        self.stack = ExitStack()

    def bundle(self, script: str = "sleep 100", **properties: Any) -> str:
        """Makes a bundle whose config has ``properties``."""
        return str(self.box.bundle(script, lambda config: config.update(properties)))

    def create(self, *words: str, **properties: Any) -> None:
        self.name = self.box.new_id()
        self.words = ["create", *words, "-b", self.bundle(**properties), self.name]

    def exists(self) -> None:
        self.name, self.stays = self.box.start(), True

    def hook(self, path: str = "/bin/sh") -> dict[str, Any]:
        """Returns a hook that reports its start and never ends."""
        begun = self.box.directory / "begun"
        self.reached = lambda _: begun.exists()
        return {"path": path, "args": ["sh", "-c", f"touch {begun}; sleep 1000"]}

    def full(self) -> str:
        """Makes a listener that accepts no connection and whose queue is full; returns its path."""
        path = str(self.box.directory / "socket")
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        self.stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        return path


def sleeps(pid: int) -> bool:
    """True if the command waits and handles signals: it blocks none, and does not run."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tS" in status and "\nSigBlk:\t0000000000000000" in status


def createContainer(made: Stopped) -> None:
    made.create(hooks={"createContainer": [made.hook()]})


def createRuntime(made: Stopped) -> None:
    made.create(hooks={"createRuntime": [made.hook()]})


def prestart_of_run(made: Stopped) -> None:
    made.create(hooks={"prestart": [made.hook()]})
    made.words[0] = "run"


def poststart(made: Stopped) -> None:
    """A failed hook of this point ends the container."""
    made.name = made.box.create("sleep 100", lambda config: config.update(hooks={"poststart": [made.hook()]}))
    made.words = ["start", made.name]


def console(made: Stopped) -> None:
    made.create("--console-socket", made.full())
    config = Path(made.words[4], "config.json")
    config.write_text(config.read_text().replace('"terminal": false', '"terminal": true'))


def pidfd(made: Stopped) -> None:
    made.create("--pidfd-socket", made.full())


def lock(made: Stopped) -> None:
    """The lock is held by a command that has been stopped."""
    made.exists()
    holder = subprocess.Popen(["flock", made.box.root / made.name, "sleep", "1000"], **QUIET)

    def release() -> None:
        for pid in [*procfs.descendants(holder.pid), holder.pid]:
            os.kill(pid, signal.SIGKILL)
        holder.wait()

    made.stack.callback(release)
    wait_for(lambda: procfs.children(holder.pid), "the lock to be held")
    made.words = ["pause", made.name]


def ready(made: Stopped) -> None:
    """The program never sends READY=1."""
    path = made.box.directory / "manager"
    made.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(str(path))
    made.env = {**os.environ, "NOTIFY_SOCKET": str(path)}
    made.name = made.box.new_id()
    made.stays = True
    made.box.ok("create", "-b", made.bundle(), made.name, env=made.env, capture_output=False, **QUIET)
    made.words = ["start", made.name]


def ps(made: Stopped) -> None:
    stub = made.box.directory / "bin" / "ps"
    stub.parent.mkdir()
    stub.write_text(f"#!/bin/sh\ntouch {made.box.directory}/begun\nexec sleep 1000\n")
    stub.chmod(0o755)
    made.exists()
    made.env = {**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}"}
    made.words = ["ps", made.name]
    made.reached = lambda _: (made.box.directory / "begun").exists()


def executed(made: Stopped) -> None:
    """`exec` in the foreground forwards the signal to its program."""
    made.exists()
    made.words = ["exec", made.name, "sleep", "1000"]
    made.reached = lambda _: len(made.box.ok("ps", "--format", "json", made.name).split(",")) == 2


@pytest.fixture
def made(box: Box) -> Iterator[Stopped]:
    stopped = Stopped(box)
    yield stopped
    stopped.stack.close()


@pytest.mark.parametrize(
    "who",
    [createContainer, createRuntime, prestart_of_run, poststart, console, pidfd, lock, ready, ps, executed],
    ids=lambda who: str(who.__name__),
)
def test_a_signal_ends_the_wait_for(made: Stopped, who: Callable[[Stopped], None]) -> None:
    who(made)
    box, errors = made.box, made.box.directory / "errors"
    with open(errors, "wb") as file:
        command = [PYRUNC, "--root", str(box.root), *made.words]
        process = subprocess.Popen(command, stderr=file, env=made.env, **QUIET)
    seen: set[int] = set()
    wait_for(lambda: made.reached(process), "the command to wait")
    seen |= procfs.descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    status = process.wait(WITHIN)
    assert status == (128 + signal.SIGTERM if who is executed else -signal.SIGTERM)
    assert errors.read_text().splitlines() in ([], ["pyrunc: ended by signal 15"])
    wait_for(lambda: all(procfs.started(pid) is None for pid in seen), f"{seen} to end")
    if made.stays:
        assert box.state(made.name)["status"] == "running"
        box.ok("exec", made.name, "true")
    else:
        assert not (box.root / made.name).exists() and not cgroups_of(made.name)


FREEZER = """
import sys
from pyrunc import interrupts
from pyrunc.cgroup.freezer import Freezer
interrupts.hold()
print("begun", flush=True)
Freezer({"": sys.argv[1]}).freeze()
"""


def test_a_signal_ends_the_wait_for_what_does_not_freeze(tmp_path: Path) -> None:
    """Uses a fake cgroup, which is thawed again."""
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    (tmp_path / "cgroup.freeze").write_text("0")
    with subprocess.Popen(
        [sys.executable, "-c", FREEZER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(lambda: (tmp_path / "cgroup.freeze").read_text() == "1", "it to be frozen")
        process.send_signal(signal.SIGTERM)
        assert process.stderr and b"Terminated" in process.communicate(timeout=WITHIN)[1]
    assert (tmp_path / "cgroup.freeze").read_text() == "0"
