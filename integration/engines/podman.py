"""A Podman with its own storage, networks and locks; conmon and netavark are Debian's."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ground import IMAGE, RUNTIMES, Ground, wait_for
from terminal import Terminal

# The limits below are Podman's defaults (1048576 open files) cut to what a root without CAP_SYS_RESOURCE may set.
CONFIG = """
[containers]
default_sysctls = []
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["pyrunc", "runc"]
runtime_supports_nocgroup = ["pyrunc"]
[engine.runtimes]
pyrunc = ["{pyrunc}"]
runc = ["{runc}"]
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""
RUNROOT = "/run/storage"
WRONG_COMMANDS = {
    "missing": ("nosuch", 127, "executable file not found"),
    "missing path": ("/no/such", 127, "no such file or directory"),
    "not executable": ("/etc/plain", 126, "permission denied"),
    "directory": ("/etc", 126, "permission denied"),
}
"""By the case's name: the command, the exit status of `podman run` and `podman exec`, and a part of the message."""


class PodmanGround(Ground):
    """A Ground with Podman's configuration. Podman's locks are in /dev/shm."""

    def __init__(self, name: str) -> None:
        super().__init__(name, private=["/dev/shm"])
        for path in (self.directory, self.directory / "tmp"):
            path.chmod(0o711)  # buildah keeps rootfs there, which the root of a user namespace must reach
        config = self.directory / "containers.conf"
        config.write_text(CONFIG.format(directory=self.directory, **RUNTIMES))
        self.environment["CONTAINERS_CONF"] = str(config)
        on_overlay = self.ok("stat", "-f", "-c", "%T", str(self.directory)).strip() == "overlayfs"
        self.driver = "vfs" if on_overlay else "overlay"  # an overlay cannot be mounted on an overlay

    def storage(self) -> list[str]:
        """The options that set the place of the storage, the same for Podman and buildah."""
        return ["--root", f"{self.directory}/storage", "--runroot", RUNROOT, "--storage-driver", self.driver]

    def cgroups(self) -> list[str]:
        """Without cgroups that Podman itself leaves: conmon's, and those of pods in hierarchies that it does not use.

        A conmon that is left in one is reported as a process.
        """
        return [path for path in super().cgroups() if not re.search(r"/(conmon|[0-9a-f]{64})/$", path)]


@contextmanager
def prepared(name: str, archive: Path) -> Iterator[PodmanGround]:
    """A ground with the image in its storage."""
    made = PodmanGround(name)
    try:
        made.ok("podman", *made.storage(), "load", "--quiet", "--input", str(archive))
        yield made
    finally:
        made.close()


class Podman:
    """`podman` of one test. Removes the test's containers, pods and volumes."""

    def __init__(self, ground: Ground, runtime: str) -> None:
        assert isinstance(ground, PodmanGround)
        self.ground: PodmanGround = ground
        self.runtime = runtime

    def words(self, *args: str) -> list[str]:
        return ["podman", *self.ground.storage(), "--runtime", self.runtime, *args]

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.ground.call(*self.words(*args), **settings)

    def ok(self, *args: str, **settings: Any) -> str:
        return self.ground.ok(*self.words(*args), **settings)

    def made(self, verb: str, options: tuple[str, ...], network: str = "none") -> list[str]:
        """Returns `run` or `create` with the options that every container here has."""
        return [verb, "--cgroup-parent", self.ground.cgroup, *(["--network", network] if network else []), *options]

    def run(
        self, args: list[str], *options: str, network: str = "none", image: str = IMAGE, **settings: Any
    ) -> "subprocess.CompletedProcess[str]":
        """`podman run --rm` in the foreground."""
        return self.call(*self.made("run", ("--rm", *options), network), image, *args, **settings)

    def out(self, args: list[str] | str, *options: str, code: int = 0, **settings: Any) -> str:
        """Returns the output of a container that must exit with ``code``. ``args`` is a command, or a shell script."""
        done = self.run(["sh", "-c", args] if isinstance(args, str) else args, *options, **settings)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def start(self, name: str = "c", *options: str, args: list[str] | None = None, network: str = "none") -> None:
        """`podman run --detach`, by default of a sleep that SIGTERM ends."""
        command = args or ["sh", "-c", 'trap "exit 0" TERM; sleep 1000 & wait']
        self.ok(*self.made("run", ("--detach", "--name", name, *options), network), IMAGE, *command)

    def terminal(self, *args: str, rows: int = 24, columns: int = 80) -> Terminal:
        return Terminal(self.ground, self.words(*args), rows, columns)

    def inspect(self, what: str, name: str = "c") -> Any:
        """A value of `podman container inspect`: ``State.ExitCode``, ``ID``."""
        return json.loads(self.ok("container", "inspect", "--format", "{{json ." + what + "}}", name))

    def status(self, name: str = "c") -> str:
        return str(self.inspect("State.Status", name))

    def await_status(self, status: str, name: str = "c") -> None:
        wait_for(lambda: self.status(name) == status, f"{name} to be {status}")

    def await_log(self, text: str, name: str = "c") -> None:
        wait_for(lambda: text in self.ok("logs", name), f"{name} to print {text!r}")

    def limit(self, controller: str, file: str, name: str = "c") -> str:
        """Returns a file of the container's v1 cgroup."""
        directory = f"/sys/fs/cgroup/{controller}{self.ground.cgroup}/libpod-{self.inspect('ID', name)}"
        return Path(directory, file).read_text().strip()

    def source(self, name: str) -> Path:
        """A new directory to bind."""
        made = self.ground.directory / f"{name}-{self.runtime}"
        made.mkdir()
        return made

    def remove_all(self) -> None:
        """Ends and removes what the test made; an image that it built may stay, the ground ends with its storage."""
        self.ok("pod", "rm", "--all", "--force", "--time", "0")
        # conmon also calls Podman to clean up when a container ends: the second clean-up finds the mounts busy.
        wait_for(lambda: self.call("rm", "--all", "--force", "--time", "0").returncode == 0, "podman rm --all")
        self.ok("volume", "prune", "--force")
