"""A containerd of our own and its client `ctr`."""

import subprocess
from pathlib import Path
from typing import Any

from ground import IMAGE, RUNTIMES, Ground

CONFIG = """
version = 2
root = "{directory}/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{directory}/containerd.sock"
[debug]
level = "debug"
"""


class Ctr:
    """`ctr` of one test: containers are named and removed here."""

    def __init__(self, ground: Ground, runtime: str) -> None:
        self.ground = ground
        self.runtime = runtime

    @staticmethod
    def prepare(ground: Ground, archive: Path, config: str = CONFIG) -> None:
        """Starts containerd in ``ground`` and loads the image."""
        (ground.directory / "config.toml").write_text(config.format(directory=ground.directory))
        words = Ctr(ground, "")
        ground.daemon(
            "/usr/bin/containerd",
            "--config",
            str(ground.directory / "config.toml"),
            ready=lambda: words.call("version").returncode == 0,
        )
        words.ok("images", "import", str(archive))

    def words(self, args: tuple[str, ...]) -> list[str]:
        # The namespace is the cgroup's name too: ctr puts containers at /NAMESPACE/ID.
        return ["ctr", "--address", f"{self.ground.directory}/containerd.sock", "--namespace", self.ground.name, *args]

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.ground.call(*self.words(args), **settings)

    def ok(self, *args: str, **settings: Any) -> str:
        return self.ground.ok(*self.words(args), **settings)

    def flags(self) -> list[str]:
        """What chooses the runtime."""
        return ["--runtime", "io.containerd.runc.v2", "--runc-binary", RUNTIMES[self.runtime]]

    def run(
        self, args: list[str], *options: str, name: str = "c", **settings: Any
    ) -> "subprocess.CompletedProcess[str]":
        """`ctr run --rm` in the foreground."""
        return self.call("run", "--rm", *self.flags(), *options, IMAGE, name, *args, **settings)

    def remove_all(self) -> None:
        """Ends and removes what the test made."""
        for name in self.ok("tasks", "ls", "-q").split():
            self.call("tasks", "kill", "-s", "SIGKILL", "--all", name)
            self.call("tasks", "delete", "--force", name)
        for name in self.ok("containers", "ls", "-q").split():
            self.call("containers", "delete", name)
