"""A signal at each wait of docs/security.md ("Every wait, and its bound"): the awaited process or socket has
stopped, SIGTERM ends the command, and it leaves nothing half made."""

import json
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

from harness import NOBODY, PYRUNC, ROOTFS, Box, cgroups_of, skip_unless_a_user_may_run_it, wait_for
from pyrunc.linux import procfs
from pyrunc.spec.default import config as default

QUIET: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
V1_FREEZER = Path("/sys/fs/cgroup/freezer")
FROZEN = "v2's frozen processes end by SIGKILL"
WITHIN = 5.0
"""Seconds from the signal to the end, less than the bound of any wait."""


class Stopped:
    """A peer that does not answer, made before the command begins. ``words``: the command; ``reached``: it waits."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.name = ""
        self.words: list[str] = []
        self.env: dict[str, str] | None = None
        self.user: dict[str, Any] = {}  # of subprocess: who runs the command
        self.stays = False  # the container was there before, and is after
        self.ended: Callable[[], object] = lambda: None  # lets go of what no command can end
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

    def listener(self) -> str:
        """One that takes a connection, and reads nothing from it."""
        path = str(self.box.directory / "socket")
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        return path

    def full(self) -> str:
        """A listener that accepts nobody, and whose queue is full."""
        path = self.listener()
        self.stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        return path

    def stub(self, program: str) -> None:
        """A ``program`` in PATH that never ends, and says that it has begun."""
        path = self.box.directory / "bin" / program
        path.parent.mkdir(exist_ok=True)
        begun = self.box.directory / "begun"
        path.write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 1000\n")
        path.chmod(0o755)
        self.env = {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}
        self.reached = lambda _: begun.exists()


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
    made.exists()
    made.stub("ps")
    made.words = ["ps", made.name]


def newuidmap(made: Stopped) -> None:
    """Of a user without root, who has more ids than one."""
    skip_unless_a_user_may_run_it()
    made.stub("newuidmap")
    made.user = NOBODY
    made.box.open_to_all()
    made.box.directory.chmod(0o777)
    made.create()
    config = rootless()
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [
            {"containerID": 0, "hostID": NOBODY["user"], "size": 1},
            {"containerID": 1, "hostID": 100000, "size": 10},
        ]
    Path(made.words[2], "config.json").write_text(json.dumps(config))


def rootless() -> dict[str, Any]:
    config = default(rootless=True)
    config["process"].update(terminal=False, args=["sleep", "100"])
    config["root"]["path"] = str(ROOTFS)
    return dict(config)


def newgidmap(made: Stopped) -> None:
    """After a newuidmap that has ended."""
    newuidmap(made)
    Path(made.box.directory / "bin" / "newuidmap").write_text("#!/bin/sh\n")
    made.stub("newgidmap")


def notifying(made: Stopped, path: str, **properties: Any) -> None:
    """`run` of a container whose calls an agent at ``path`` is to answer."""
    made.create(**properties)
    made.words[0] = "run"
    config = json.loads(Path(made.words[2], "config.json").read_text())
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "syscalls": [rule]}
    Path(made.words[2], "config.json").write_text(json.dumps(config))


def agent(made: Stopped) -> None:
    """It does not accept."""
    notifying(made, made.full())


def agent_of_start(made: Stopped) -> None:
    """Its init ends, as it does without an agent."""
    notifying(made, made.full())
    made.words[0] = "create"
    made.box.ok(*made.words, capture_output=False, **QUIET)
    made.words = ["start", made.name]

    def finish() -> None:
        made.box.await_status(made.name, "stopped")
        made.box.ok("delete", made.name)

    made.ended = finish


def agent_that_does_not_read(made: Stopped) -> None:
    """What it is sent does not fit into the socket."""
    notifying(made, made.listener(), annotations={"large": "x" * (1 << 21)})


def failed_create(made: Stopped) -> None:
    """A process in its cgroups can't be ended: it is in a frozen one besides, which is not the container's."""
    frozen = V1_FREEZER / f"pyrunc-frozen-{os.getpid()}"
    frozen.mkdir()
    done = made.box.directory / "done"
    made.create()
    script = f"""
        sleep 1000 </dev/null >/dev/null 2>&1 &
        echo $! >{frozen}/cgroup.procs && echo FROZEN >{frozen}/freezer.state
        for group in $(find /sys/fs/cgroup -type d -name {made.name}); do
            case $group in */freezer/*) ;; *) echo $! >$group/cgroup.procs ;; esac
        done
        touch {done}; exit 1
    """
    config = json.loads(Path(made.words[2], "config.json").read_text())
    destroyed = made.box.directory / "destroyed"
    config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}],
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"touch {destroyed}"]}],
    }
    Path(made.words[2], "config.json").write_text(json.dumps(config))
    # Neither the hook nor init is there any more.
    made.reached = lambda it: done.exists() and not any(map(procfs.started, procfs.children(it.pid))) and sleeps(it.pid)

    def thaw() -> None:
        if frozen.exists():
            left = [int(pid) for pid in (frozen / "cgroup.procs").read_text().split()]
            (frozen / "freezer.state").write_text("THAWED")
            wait_for(lambda: not any(map(procfs.started, left)), "what was killed to end")
            frozen.rmdir()

    def finish() -> None:
        assert destroyed.exists()  # the signal has ended that wait, and kept nothing else back
        thaw()
        made.box.ok("delete", "--force", made.name)

    made.stack.callback(thaw)
    made.ended = finish


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
    [
        *(createContainer, createRuntime, prestart_of_run, poststart, console, pidfd, lock, ready, ps, executed),
        *(newuidmap, newgidmap, agent, agent_of_start, agent_that_does_not_read),
        pytest.param(failed_create, marks=[pytest.mark.skipif(not V1_FREEZER.is_dir(), reason=FROZEN)]),
    ],
    ids=lambda who: str(who.__name__),
)
def test_a_signal_ends_the_wait_for(made: Stopped, who: Callable[[Stopped], None]) -> None:
    who(made)
    box, errors = made.box, made.box.directory / "errors"
    with open(errors, "wb") as file:
        command = [PYRUNC, "--root", str(box.root), *made.words]
        process = subprocess.Popen(command, stderr=file, env=made.env, **made.user, **QUIET)
    seen: set[int] = set()
    wait_for(lambda: made.reached(process), "the command to wait")
    seen |= procfs.descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    status = process.wait(WITHIN)
    assert status == (128 + signal.SIGTERM if who is executed else -signal.SIGTERM)
    assert errors.read_text().splitlines() in ([], ["pyrunc: ended by signal 15"])
    wait_for(lambda: all(procfs.started(pid) is None for pid in seen), f"{seen} to end")
    made.ended()
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
