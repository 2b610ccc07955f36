"""The surroundings of the engines' suites: separate namespaces, daemons, an image, the two runtimes.

Everything that an engine makes (bridges, iptables rules, mounts, sockets below /run) is in namespaces that end
with their holder. Only the cgroups are the host's: they are all below one directory per ground, removed at its end.
"""

import glob
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
RUNTIMES = {"pyrunc": os.environ.get("RUNTIME", str(Path(sys.prefix) / "bin" / "pyrunc")), "runc": "/usr/sbin/runc"}
SHIM = Path(RUNTIMES["pyrunc"]).with_name("containerd-shim-pyrunc-v1")
CONTAINERD = Path(os.environ.get("CONTAINERD", "/usr/bin/containerd"))
"""Another containerd must have its own client and shim beside it."""
GO_SHIM = CONTAINERD.with_name("containerd-shim-runc-v2")
NATIVE = "shim"
"""pyrunc as containerd's own shim, of the type io.containerd.pyrunc.v1: no runtime is executed at all."""
IMAGE = "localhost/busybox:latest"

# All of /run is private: shims, conmon and the runtimes keep sockets and state there, whatever an engine's settings.
SETUP = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
for directory; do mkdir -p "$directory"; mount -t tmpfs tmpfs "$directory"; done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
exec tini -- sh -c 'echo held; exec sleep infinity'
"""


OF_CONTAINERS = re.compile(r"/(rootfs|merged|shm)$|/netns/(?!default$)")
STATES = [
    "/run/pyrunc/*",
    "/run/runc/*",
    "/run/containerd/runc/*/*",
    "/run/containerd/pyrunc/*/*",
    "/run/docker/runtime-runc/*/*",
]


class Ground:
    """Private mount, network and pid namespaces, held by a reaper, and a directory; one engine lives in it.

    ``private``: directories that are empty inside. ``directory`` has the same path inside and
    outside. The pid namespace makes leaks visible: a process left in it was left by the engine or its runtime.
    """

    def __init__(self, name: str, private: Iterable[str] = ()) -> None:
        self.furnish(name)
        self.daemons: list[Daemon] = []
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        complaints = self.directory / "setup.log"
        with complaints.open("w") as log:
            self.unshare = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *unshare, "sh", "-c", SETUP, "setup", *private],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.unshare.stdout is not None and self.unshare.stdout.readline() == "held\n", complaints.read_text()
        children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children")
        self.holder = int(children.read_text().split()[0])
        self.baseline = len(self.processes())

    def furnish(self, name: str) -> None:
        """The directory, and the environment of what runs here."""
        self.name = f"engines-{name}-{os.getpid()}"
        self.cgroup = "/" + self.name
        self.directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
        programs = self.directory / "bin"
        programs.mkdir()
        for shim in (SHIM, GO_SHIM):  # containerd looks for shims on its PATH, and caches their paths
            (programs / shim.name).symlink_to(shim)
        self.environment = {
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "LANG": "C.UTF-8",
            "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS": "1",  # newer containerd (CONTAINERD): cgroup v1
        }
        for kind in ("HOME", "TMPDIR"):
            Path(self.environment[kind]).mkdir()
        # An overlay cannot be mounted on an overlay, which the root is if the tests run in a container.
        self.overlay = (
            "overlayfs"
            not in subprocess.run(
                ["stat", "--file-system", "--format=%T", str(self.directory)], capture_output=True, text=True
            ).stdout
        )
        self.environment["CONTAINERD_SNAPSHOTTER"] = "overlayfs" if self.overlay else "native"

    def __enter__(self) -> "Ground":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def path(self, inside: str) -> Path:
        """Returns the host's path of a path in the mount namespace."""
        return Path(f"/proc/{self.holder}/root{inside}")

    def words(self, args: Iterable[str]) -> list[str]:
        """Returns the command line that runs ``args`` inside."""
        return ["nsenter", f"--target={self.holder}", "--mount", "--net", "--pid", "--", *args]

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        """Runs a command inside; its output is captured."""
        options = {"capture_output": True, "text": True, "timeout": 40, "env": self.environment, "cwd": self.directory}
        return subprocess.run(self.words(args), **{**options, **settings})

    def ok(self, *args: str, **settings: Any) -> str:
        """The standard output of a command that must succeed."""
        done = self.call(*args, **settings)
        assert done.returncode == 0, f"{' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return str(done.stdout)

    def popen(self, *args: str, **settings: Any) -> "subprocess.Popen[str]":
        """Starts a command inside."""
        options = {"text": True, "env": self.environment, "cwd": self.directory}
        return subprocess.Popen(self.words(args), **{**options, **settings})

    def daemon(self, *args: str, ready: Callable[[], bool], name: str = "") -> "Daemon":
        """Starts a daemon inside and waits until ``ready``; it ends with the ground."""
        made = Daemon(self, list(args), name or Path(args[0]).name)
        self.daemons.append(made)
        made.start(ready)
        return made

    def processes(self) -> dict[int, str]:
        """Returns {pid inside the namespace: command line} of all processes inside, without the holder."""
        found = {}
        for entry in self.path("/proc").iterdir():
            if entry.name.isdigit() and entry.name != "1":
                try:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    status = (entry / "stat").read_text()
                except OSError:
                    continue
                zombie = status.rpartition(")")[2].split()[0] in "ZX"
                found[int(entry.name)] = words or f"zombie {status.split()[1]}" if zombie else words
        return found

    def namespace(self, pid: int, kind: str) -> str:
        """Returns the name of a process's namespace, from ``/proc/PID/ns`` inside."""
        return os.readlink(self.path(f"/proc/{pid}/ns/{kind}"))

    def others(self) -> dict[int, str]:
        """Returns the processes that belong neither to the holder nor to daemons."""
        known = {"sleep infinity", *(" ".join(one.args) for one in self.daemons)}
        return {pid: words for pid, words in self.processes().items() if words not in known and not self.of_daemon(pid)}

    def of_daemon(self, pid: int) -> bool:
        """True if a daemon started the process for itself (dockerd's containerd), not for a container."""
        return any(pid in one.helpers for one in self.daemons)

    def settle(self, seconds: float = 15.0) -> None:
        """Waits until no process, cgroup, mount or state of a container is left. Fails if something stays."""
        end = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < end:
            time.sleep(0.02)
        for pid in self.others() if left else ():
            self.call("kill", "-9", str(pid))  # Killed, so that later cases do not report it again.
        assert not left, "left over:\n" + "\n".join(left)

    def left(self) -> list[str]:
        """Returns the leftovers of containers."""
        return [*self.others().values(), *self.cgroups(), *self.mounts(), *self.states()]

    def cgroups(self) -> list[str]:
        """Returns the cgroups below this ground's own that still exist."""
        return [path for top in cgroup_tops() for path in glob.glob(f"{top}{self.cgroup}/**/*/", recursive=True)]

    def limit(self, controller: str, container: str, file: str) -> str:
        """Returns a file of a container's cgroup, without its newline: of the v1 controller, or of v2 if v2 has it."""
        found = glob.glob(f"/sys/fs/cgroup/{controller}{self.cgroup}/{container}/{file}")
        return Path(found[0]).read_text().strip() if found else ""

    def drop(self, name: str) -> None:
        """Removes an empty parent cgroup that an engine was configured to use: engines leave those."""
        for top in cgroup_tops():
            remove_cgroups(f"{top}{self.cgroup}/{name}")

    def mounts(self) -> list[str]:
        """Returns mount points that engines and runtimes make for containers: roots, shared memory, netns."""
        points = [line.split()[4] for line in self.path("/proc/1/mountinfo").read_text().splitlines()]
        ours = (str(self.directory), "/run/")
        return [point for point in points if point.startswith(ours) and OF_CONTAINERS.search(point)]

    def states(self) -> list[str]:
        """Returns the state directories of containers, in all places that the engines here use."""
        return [path for place in STATES for path in glob.glob(str(self.path(place)))]

    def logs(self) -> str:
        """Returns the ends of the daemons' logs, for the report of a failure."""
        return "\n".join(f"--- {one.name}\n{one.tail()}" for one in self.daemons)

    def close(self) -> None:
        """Ends the daemons and the namespaces. Fails if something of the runtime's is left."""
        try:
            self.settle()
        finally:
            for one in reversed(self.daemons):
                one.stop()
            os.kill(self.holder, signal.SIGKILL)
            self.unshare.wait(30)
            for top in cgroup_tops():
                remove_cgroups(top + self.cgroup)
            shutil.rmtree(self.directory, ignore_errors=True)


class Daemon:
    """One daemon of an engine. Its log is a file; it is killed by pid."""

    def __init__(self, ground: Ground, args: list[str], name: str) -> None:
        self.ground = ground
        self.args = args
        self.name = name
        self.log = ground.directory / f"{name}.log"
        self.helpers: set[int] = set()

    def start(self, ready: Callable[[], bool]) -> None:
        before = set(self.ground.processes())
        with self.log.open("a") as log:
            self.process = self.ground.popen(*self.args, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not ready():
            assert self.process.poll() is None and time.monotonic() < end, f"{self.name} did not start:\n{self.tail()}"
            time.sleep(0.05)
        self.helpers |= set(self.ground.processes()) - before

    def pid(self) -> int:
        """The daemon's pid inside; nsenter, its parent, is outside."""
        line = " ".join(self.args)
        return next(pid for pid, words in self.ground.processes().items() if words == line)

    def kill(self, number: int) -> None:
        self.ground.call("kill", f"-{number}", str(self.pid()))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal and waits for the end; kills the daemon if it does not react."""
        if self.process.poll() is not None:
            return
        self.kill(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            self.process.wait(20)

    def tail(self, lines: int = 40) -> str:
        if not self.log.exists():
            return "(gone with the ground)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def cgroup_tops() -> list[str]:
    """The mount points of the host's cgroup hierarchies."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [words[4] for words in lines if words[words.index("-") + 1].startswith("cgroup")]


def remove_cgroups(path: str) -> None:
    """Removes a cgroup and those below it, but kills no process: a cgroup with processes was reported, and stays."""
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            pass


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Polls ``condition`` until it is true and returns its value, for conditions without an event."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)
    return found


PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nguest:x:1000:1000:guest:/home/guest:/bin/sh\n"
)
GROUP = "root:x:0:\ndaemon:x:1:\nwheel:x:10:guest\nguest:x:1000:\n"


def layer() -> bytes:
    """The one layer of the image, a tar: busybox with a link for every applet, and a few files."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin") or "/bin/busybox"
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, mode in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("home", 0o755)]:
            add(tar, name, kind=tarfile.DIRTYPE, mode=mode)
        for name in ("proc", "sys", "dev", "mnt", "data", "home/guest"):
            add(tar, name, kind=tarfile.DIRTYPE, mode=0o755)
        add(tar, "bin/busybox", Path(busybox).read_bytes(), mode=0o755)
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox")
        for name, text in [("passwd", PASSWD), ("group", GROUP), ("plain", "not executable\n")]:
            add(tar, f"etc/{name}", text.encode())
        add(tar, "data/file", b"of the image\n")
    return made.getvalue()


def add(
    tar: tarfile.TarFile, name: str, data: bytes = b"", *, kind: bytes = b"0", mode: int = 0o644, link: str = ""
) -> None:
    """Adds one member to a tar, always with the same bytes."""
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = kind, mode, link, len(data)
    tar.addfile(member, io.BytesIO(data))


def image(path: Path, name: str = IMAGE, **settings: Any) -> Path:
    """Writes an image of busybox as a docker-archive, which every engine here loads.

    ``settings`` are of the image's config (``Cmd``, ``Env``, ``User``, ``Healthcheck``...).
    """
    data = layer()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"], **settings},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(data).hexdigest()]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "pyrunc's tests"}],
    }
    blob = json.dumps(config).encode()
    config_name = sha256(blob).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        add(tar, config_name, blob)
        add(tar, "layer.tar", data)
        add(tar, "manifest.json", json.dumps(manifest).encode())
    return path
