"""Shared by the integration tests: bundles, running the command, and finding leftovers."""

import copy
import glob
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[2]
PYRUNC = os.environ.get("RUNTIME", str(Path(sys.prefix) / "bin" / "pyrunc"))
ROOTFS = TOP / "bundles" / "busybox" / "rootfs"
Change = Callable[[dict[str, Any]], None]


def base_config() -> dict[str, Any]:
    """The config of `pyrunc spec`, without a terminal; without root that of `pyrunc spec --rootless`."""
    from pyrunc.spec.default import config

    made = copy.deepcopy(config(rootless=os.geteuid() != 0))
    made["linux"].setdefault("resources", {})
    made["process"]["terminal"] = False
    made["root"]["path"] = str(ROOTFS)
    return made


def static_program(directory: Path, name: str, source: str) -> Path:
    """Compiles the C ``source`` to a program that runs in any rootfs. Skips the test if there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = directory / name
    words = ["gcc", "-static", "-x", "c", "-", "-o", program]
    subprocess.run(words, input=source, text=True, check=True)
    return program


class Box:
    """A state directory and bundles of one test. Ids are unique on this host. ``program``: the runtime."""

    def __init__(self, directory: Path, program: str = PYRUNC) -> None:
        self.directory = directory
        self.program = program
        self.root = directory / "state"
        self.count = 0
        self.ids: list[str] = []

    def new_id(self) -> str:
        self.count += 1
        name = f"pyrunc-test-{os.getpid()}-{self.count}"
        self.ids.append(name)
        return name

    def bundle(self, args: list[str] | str, change: Change | None = None) -> Path:
        """A bundle whose process is ``args``, or a shell script; ``change`` edits its config."""
        config = base_config()
        config["process"]["args"] = ["sh", "-c", args] if isinstance(args, str) else args
        if self.program != PYRUNC:
            config["ociVersion"] = "1.0.2"  # older peers refuse a newer version
        if change is not None:
            change(config)
        self.count += 1
        path = self.directory / f"bundle{self.count}"
        path.mkdir()
        (path / "config.json").write_text(json.dumps(config))
        return path

    def own_rootfs(self, config: dict[str, Any]) -> Path:
        """Gives ``config`` a separate writable rootfs."""
        self.count += 1
        path = self.directory / f"rootfs{self.count}"
        # Without devices that a container without its own /dev left there: copying /dev/full never ends.
        shutil.copytree(
            ROOTFS, path, symlinks=True, ignore=lambda parent, names: names if parent.endswith("/dev") else []
        )
        config["root"] = {"path": str(path)}
        return path

    def open_to_all(self) -> None:
        """Makes the directory accessible for other users, which a user namespace's ids need."""
        for path in (self.directory, *self.directory.parents[:2]):
            path.chmod(0o755)

    def call(self, *words: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        """Runs the runtime with ``words`` and captures its output."""
        options = {"capture_output": True, "text": True, "timeout": 60, "cwd": self.directory, **settings}
        return subprocess.run([*self.command, *words], **options)

    @property
    def command(self) -> list[str]:
        """The program with its global options. crun does not support a host with v1 and v2 hierarchies."""
        own = ["--cgroup-manager=disabled"] if Path(self.program).name == "crun" else []
        return [self.program, "--root", str(self.root), *own]

    def ok(self, *words: str, **settings: Any) -> str:
        """The standard output of a command that must succeed."""
        done = self.call(*words, **settings)
        assert done.returncode == 0, (words, done.returncode, done.stderr)
        return str(done.stdout)

    def run(self, args: list[str] | str, change: Change | None = None, *words: str, **settings: Any) -> Any:
        """`run` in the foreground."""
        return self.call("run", "-b", str(self.bundle(args, change)), *words, self.new_id(), **settings)

    def out(self, args: list[str] | str, change: Change | None = None, *words: str) -> str:
        """Returns the output of a container that must succeed."""
        done = self.run(args, change, *words)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return str(done.stdout)

    def create(self, args: list[str] | str = "sleep 100", change: Change | None = None, *words: str) -> str:
        """Creates a container and returns its id. Its output goes to /dev/null: it would keep the test's pipe open."""
        name = self.new_id()
        bundle = str(self.bundle(args, change))
        quiet = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with open(self.directory / "stderr", "w+") as errors:
            done = self.call("create", "-b", bundle, *words, name, stderr=errors, **quiet)
            errors.seek(0)
            assert done.returncode == 0, errors.read()
        return name

    def start(self, args: list[str] | str = "sleep 100", change: Change | None = None, *words: str) -> str:
        """Starts a container and returns its id."""
        name = self.create(args, change, *words)
        self.ok("start", name)
        return name

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("state", name))
        return found

    def await_status(self, name: str, status: str) -> None:
        """Waits until the container has ``status``."""
        wait_for(lambda: self.state(name)["status"] == status, f"{name} to be {status}")

    def leftovers(self) -> list[str]:
        """Returns the cgroups, state directories and processes of this test's containers that still exist."""
        found = [path for name in self.ids for path in cgroups_of(name)]
        found += [str(path) for path in self.root.iterdir()] if self.root.exists() else []
        return found

    def close(self) -> None:
        for name in list(self.ids):
            self.call("delete", "--force", name)
        left = self.leftovers()
        assert not left, f"left over: {left}"


NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
"""For subprocess.run: a user without any rights."""


def skip_unless_a_user_may_run_it() -> None:
    """Skips the test if this checkout, or its Python, is in a directory that only root may enter."""
    try:
        done = subprocess.run([PYRUNC, "--version"], capture_output=True, **NOBODY)
    except PermissionError:
        done = None
    if done is None or done.returncode:
        pytest.skip("pyrunc lies where another user can't execute it")


def cgroups_of(name: str) -> list[str]:
    """Returns the directories called ``name`` in all hierarchies, each once: with systemd, ``cpu`` is a link."""
    return list(dict.fromkeys(map(os.path.realpath, glob.glob(f"/sys/fs/cgroup/**/{name}", recursive=True))))


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
    """Polls ``condition``, for conditions that the kernel has no event for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def namespace(config: dict[str, Any], kind: str, path: str = "") -> None:
    """Adds, or replaces, a namespace."""
    spaces = config["linux"]["namespaces"]
    spaces[:] = [space for space in spaces if space["type"] != kind]
    spaces.append({"type": kind, **({"path": path} if path else {})})


def user_namespace(config: dict[str, Any], host: int = 100000, size: int = 65536) -> None:
    """A new user namespace that maps ``size`` ids from ``host`` on."""
    namespace(config, "user")
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": host, "size": size}]
