"""A private Docker daemon and its client `docker`."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ground import IMAGE, RUNTIMES, TOP, Ground, wait_for
from terminal import Terminal

# Debian's client: another one may come first in PATH.
CLIENT, DAEMON = "/usr/bin/docker", "/usr/sbin/dockerd"


def configuration(ground: Ground, **settings: Any) -> dict[str, Any]:
    """Returns daemon.json: the settings of docs/engines.md, and those that separate the daemon from the host's."""
    documented = (TOP / "docs" / "engines.md").read_text().partition("```json\n")[2].partition("```")[0]
    return {
        **json.loads(documented.replace("/usr/local/bin/pyrunc", RUNTIMES["pyrunc"])),
        "cgroup-parent": ground.cgroup,
        "data-root": f"{ground.directory}/data",
        "exec-root": "/run/docker",
        "pidfile": "/run/docker.pid",
        "hosts": [f"unix://{ground.directory}/docker.sock"],
        "group": "root",
        "storage-driver": "overlay2" if ground.overlay else "vfs",
        "userland-proxy": False,
        "oom-score-adjust": 0,
        **settings,
    }


class Docker:
    """`docker` of one test. Whatever the test makes is removed at its end."""

    def __init__(self, ground: Ground, runtime: str, *, default: bool = False) -> None:
        self.ground = ground
        self.runtime = runtime
        self.flags = [] if default else ["--runtime", runtime]

    @staticmethod
    def prepare(ground: Ground, archive: Path, **settings: Any) -> None:
        """Starts the daemon in ``ground`` and loads the image."""
        Docker.configure(ground, **settings)
        words = Docker(ground, "")
        ground.daemon(
            DAEMON,
            "--config-file",
            f"{ground.directory}/daemon.json",
            ready=lambda: words.call("version").returncode == 0,
        )
        words.ok("load", "--input", str(archive))

    @staticmethod
    def configure(ground: Ground, **settings: Any) -> None:
        """Writes daemon.json; a setting of None is left out."""
        told = {name: value for name, value in configuration(ground, **settings).items() if value is not None}
        (ground.directory / "daemon.json").write_text(json.dumps(told))

    def words(self, args: tuple[str, ...]) -> list[str]:
        return [CLIENT, "--host", f"unix://{self.ground.directory}/docker.sock", *args]

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.ground.call(*self.words(args), **settings)

    def ok(self, *args: str, **settings: Any) -> str:
        return self.ground.ok(*self.words(args), **settings).rstrip("\n")

    def run(self, args: list[str], *options: str, image: str = IMAGE, **settings: Any) -> Any:
        """`docker run --rm` in the foreground."""
        return self.call("run", "--rm", *self.flags, *options, image, *args, **settings)

    def out(self, args: list[str] | str, *options: str, code: int = 0, **settings: Any) -> str:
        """Returns the output of a container, of a command or a script, which must exit with ``code``."""
        words = ["sh", "-c", args] if isinstance(args, str) else args
        done = self.run(words, *options, **settings)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return str(done.stdout)

    def start(self, *options: str, args: list[str] | str = "exec sleep 1000", name: str = "box") -> str:
        """`docker run --detach`; returns the id."""
        words = ["sh", "-c", args] if isinstance(args, str) else args
        return self.ok("run", "--detach", "--name", name, *self.flags, *options, IMAGE, *words)

    def exec(self, *args: str, options: tuple[str, ...] = (), **settings: Any) -> Any:
        return self.call("exec", *options, "box", *args, **settings)

    def terminal(self, *args: str, rows: int = 24, columns: int = 80) -> Terminal:
        return Terminal(self.ground, self.words(args), rows, columns)

    def show(self, template: str, name: str = "box") -> str:
        """`docker inspect` with a template."""
        return self.ok("inspect", "--format", "{{" + template + "}}", name)

    def await_status(self, status: str, name: str = "box") -> None:
        wait_for(lambda: self.show(".State.Status", name) == status, f"{name} to be {status}")

    def await_log(self, text: str, name: str = "box") -> None:
        wait_for(lambda: text in self.call("logs", name).stdout, f"{text!r} in the log of {name}")

    def limit(self, controller: str, file: str, name: str = "box") -> str:
        """A file of the container's cgroup."""
        return self.ground.limit(controller, self.show(".Id", name), file)

    def source(self, name: str) -> Path:
        """A new directory to bind."""
        made = self.ground.directory / f"{name}-{self.runtime}"
        made.mkdir()
        return made

    @contextmanager
    def events(self) -> Iterator[Terminal]:
        """`docker events`, running. It also shows events from just before, so that none is missed."""
        terminal = self.terminal("events", "--since", "1s", "--format", "{{.Type}} {{.Action}}")
        yield terminal
        for pid, words in self.ground.others().items():
            if " events --since" in words:
                self.ground.call("kill", "-9", str(pid))
        terminal.wait()

    def restart(self, number: int = signal.SIGTERM) -> None:
        """Ends the daemon and starts it again."""
        daemon = self.ground.daemons[0]
        daemon.stop(number)
        daemon.start(lambda: self.call("version").returncode == 0)

    def kill_shim(self) -> None:
        pid = next(pid for pid, words in self.ground.others().items() if "containerd-shim" in words)
        self.ground.ok("kill", "-9", str(pid))

    def remove_all(self) -> None:
        """Removes containers, and all volumes and networks that the ground did not have at the start."""
        for kind, listing in [("rm", ["ps", "-aq"]), ("volume", ["volume", "ls", "-q"])]:
            names = self.ok(*listing).split()
            if names:
                self.call(*(["rm", "-f", "-v"] if kind == "rm" else ["volume", "rm"]), *names)
        self.call("network", "prune", "--force")
