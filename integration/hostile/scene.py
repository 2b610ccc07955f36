"""Surroundings of the experiments and tests of hostile libraries: stand-ins, their daemon, separate cgroups."""

import json
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


class Scene:
    """``directory`` holds the stand-ins; ``daemon`` is the process of cgmanager's stand-in."""

    def __init__(self, directory: Path, daemon: "subprocess.Popen[bytes]") -> None:
        self.directory = directory
        self.daemon = daemon
        self.bundle = directory
        """For experiments: a bundle without a pid namespace."""

    def library(self, name: str) -> str:
        """Returns the path of one stand-in."""
        return str(self.directory / f"{name}.so")


def build_changed_helper(directory: Path, changes: dict[str, str]) -> None:
    """Builds ``static`` and ``dynamic`` in ``directory``: both helpers with ``changes`` {text: other text}."""
    sources = directory / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    text = {path.name: path.read_text() for path in (TOP / "nsenter" / "helper").glob("*.[ch]")}
    for old, new in changes.items():
        assert sum(body.count(old) for body in text.values()) == 1, old
        text = {name: body.replace(old, new) for name, body in text.items()}
    for name, body in text.items():
        (sources / name).write_text(body)
    subprocess.run([sys.executable, TOP / "nsenter" / "generate.py", sources], check=True)
    programs = sorted(sources.glob("*.c"))
    for name, flags in (("static", ["-static"]), ("dynamic", ["-DPYRUNC_DYNAMIC", "-ldl"])):
        subprocess.run(["gcc", "-Os", "-D_GNU_SOURCE", "-o", directory / name, *programs, *flags], check=True)


def without_pid_namespace(directory: Path) -> Path:
    """Copies bundles/plain without its pid namespace: the daemon serves no process of another pid namespace."""
    config = json.loads((TOP / "bundles" / "plain" / "config.json").read_text())
    config["root"]["path"] = str(TOP / "bundles" / "plain" / "rootfs")
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "pid"]
    bundle = directory / "host-pids"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def mounts() -> list[str]:
    """Returns the mount points of the v1 hierarchies in the daemon's order: alphabetical, name=systemd last."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = {line.split()[4] for line in lines if " - cgroup " in line}
    return sorted(found, key=lambda path: (path.endswith("/systemd"), path))


@contextmanager
def own_cgroups(name: str) -> Iterator[list[Path]]:
    """Moves this process into cgroups ``name`` below its own, so that whatever a library moves or leaves is in them."""
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
    """Builds the stand-ins and starts the daemon; removes both at the end."""
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
