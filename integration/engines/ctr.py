"""A private containerd and its client `ctr`."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ground import CONTAINERD, IMAGE, NATIVE, RUNTIMES, Ground, wait_for
from terminal import Terminal

NETWORK = {
    "cniVersion": "0.4.0",
    "name": "engines",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni-engines",
            "isGateway": True,
            "ipMasq": False,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.7.0/24"}]]},
        }
    ],
}

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
    """`ctr` of one test. Names the test's containers and removes them."""

    def __init__(self, ground: Ground, runtime: str, namespace: str = "") -> None:
        self.ground = ground
        self.runtime = runtime
        # The cgroup's name too: ctr puts containers at /NAMESPACE/ID.
        self.namespace = namespace or ground.name

    @staticmethod
    @contextmanager
    def ready(name: str, archive: Path) -> Iterator[Ground]:
        """A ground called ``name``, on which containerd runs and has the image."""
        with Ground(name, private=["/etc/cni/net.d", "/var/lib/cni", "/var/lib/containerd"]) as made:
            Ctr.prepare(made, archive)
            yield made

    @staticmethod
    def prepare(ground: Ground, archive: Path, config: str = CONFIG) -> None:
        """Starts containerd in ``ground`` and loads the image."""
        (ground.directory / "config.toml").write_text(config.format(directory=ground.directory))
        network = ground.path("/etc/cni/net.d/10-engines.conflist")
        network.write_text(json.dumps(NETWORK))
        words = Ctr(ground, "")
        ground.daemon(
            str(CONTAINERD),
            "--config",
            str(ground.directory / "config.toml"),
            ready=lambda: words.call("version").returncode == 0,
        )
        words.ok("images", "import", str(archive))

    def words(self, args: tuple[str, ...]) -> list[str]:
        return [
            str(CONTAINERD.with_name("ctr")),
            "--address",
            f"{self.ground.directory}/containerd.sock",
            "--namespace",
            self.namespace,
            *args,
        ]

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.ground.call(*self.words(args), **settings)

    def ok(self, *args: str, **settings: Any) -> str:
        return self.ground.ok(*self.words(args), **settings)

    def flags(self) -> list[str]:
        """The options that choose the runtime."""
        if self.runtime == NATIVE:
            return ["--runtime", "io.containerd.pyrunc.v1"]
        return ["--runtime", "io.containerd.runc.v2", "--runc-binary", RUNTIMES[self.runtime]]

    def root_flags(self, root: Path) -> list[str]:
        """The options that place the runtime's state below ``root``: other shims than runc's read a file."""
        if self.runtime != NATIVE:
            return ["--runc-root", str(root)]
        file = self.ground.directory / "shim.toml"
        file.write_text(f'Root = "{root}"\n')
        return ["--runtime-config-path", str(file)]

    def run(
        self, args: list[str], *options: str, name: str = "c", **settings: Any
    ) -> "subprocess.CompletedProcess[str]":
        """`ctr run --rm` in the foreground."""
        return self.call("run", "--rm", *self.flags(), *options, IMAGE, name, *args, **settings)

    def out(self, args: list[str], *options: str, code: int = 0, **settings: Any) -> str:
        """Returns the output of a container that must exit with ``code``."""
        done = self.run(args, *options, **settings)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def start(self, name: str = "c", *options: str, args: list[str] | None = None) -> None:
        """`ctr run --detach`, by default of a sleep."""
        self.ok("run", "--detach", *self.flags(), *options, IMAGE, name, *(args or ["sleep", "1000"]))

    def foreground(self, args: list[str]) -> "subprocess.Popen[str]":
        """`ctr run` in the foreground; its exit code is the container's."""
        client = self.ground.popen(*self.words(("run", "--rm", *self.flags(), IMAGE, "c", *args)))
        self.await_status("RUNNING")
        return client

    def exec(self, *args: str, name: str = "c", options: list[str] | None = None, **settings: Any) -> Any:
        """`ctr tasks exec` of a command that exists.

        ctr loses the output of a process that ends before the shim copies it (also with runc): it waits a moment.
        """
        stays = ["sh", "-c", '"$@"; code=$?; sleep 0.1; exit $code', "sh", *args]
        return self.exec_as_it_is(*stays, name=name, options=options, **settings)

    def exec_as_it_is(self, *args: str, name: str = "c", options: list[str] | None = None, **settings: Any) -> Any:
        return self.call("tasks", "exec", "--exec-id", "e", *(options or []), name, *args, **settings)

    def run_in_terminal(self, script: str, **size: int) -> Terminal:
        """`ctr run` with a terminal of the test's, of ``rows`` and ``columns``."""
        return self.terminal("run", "--rm", "-t", *self.flags(), IMAGE, "c", "sh", "-c", script, **size)

    def terminal(self, *args: str, rows: int = 24, columns: int = 80) -> Terminal:
        return Terminal(self.ground, self.words(args), rows, columns)

    def task(self, name: str = "c") -> list[str]:
        """Returns name, pid and status of a task as listed; an empty list if there is no task."""
        lines = [line.split() for line in self.ok("tasks", "ls").splitlines()]
        return next((words for words in lines if words[0] == name), ["", "", ""])

    def status(self, name: str = "c") -> str:
        return self.task(name)[2]

    def await_status(self, status: str, name: str = "c") -> None:
        wait_for(lambda: self.status(name) == status, f"{name} to be {status}")

    def pid(self, name: str = "c") -> int:
        """The pid of the container's init as containerd sees it."""
        return int(self.task(name)[1])

    def pids(self, name: str = "c") -> list[int]:
        """Returns the pids that `ctr tasks ps` lists."""
        return [int(line.split()[0]) for line in self.ok("tasks", "ps", name).splitlines()[1:]]

    def cmdline(self, pid: int) -> list[str]:
        return self.ground.path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]

    def await_trap(self, name: str = "c") -> None:
        """Waits until the container's shell sleeps, which its scripts do after setting their traps."""
        wait_for(lambda: len(self.pids(name)) > 1, "the script to run")

    def source(self, name: str) -> Path:
        """A new directory to bind."""
        made = self.ground.directory / f"{name}-{self.runtime}"
        made.mkdir()
        return made

    def profile(self, content: dict[str, Any]) -> str:
        """A seccomp profile in a file."""
        file = self.ground.directory / "seccomp.json"
        file.write_text(json.dumps(content))
        return str(file)

    @contextmanager
    def events(self) -> Iterator[Terminal]:
        """`ctr events`, running."""
        terminal = self.terminal("events")
        wait_for(lambda: any("events" in words for words in self.ground.others().values()), "the client")
        # ctr does not show when it is subscribed: wait until it shows an event made for that.
        while "/containers/create" not in terminal.text:
            self.call("containers", "create", IMAGE, "sign")
            self.call("containers", "delete", "sign")
            terminal.read(0)
        yield terminal
        terminal.process.kill()
        for pid, words in self.ground.others().items():
            if words.endswith(" events"):
                self.ground.call("kill", "-9", str(pid))
        terminal.wait()

    def kill_shim(self) -> None:
        pid = next(pid for pid, words in self.ground.others().items() if "containerd-shim" in words)
        self.ground.ok("kill", "-9", str(pid))

    def restart(self, number: int = signal.SIGTERM) -> None:
        """Ends containerd and starts it again."""
        daemon = self.ground.daemons[0]
        daemon.stop(number)
        daemon.start(lambda: self.call("version").returncode == 0)

    def remove_all(self) -> None:
        """Ends and removes what the test made."""
        for name in self.ok("tasks", "ls", "-q").split():
            self.call("tasks", "kill", "-s", "SIGKILL", "--all", name)
            self.call("tasks", "delete", "--force", name)
        for name in self.ok("containers", "ls", "-q").split():
            self.call("containers", "delete", name)
