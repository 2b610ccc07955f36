"""Engines on a host that systemd runs, as they are installed there: no namespaces of their own around them, their daemons
are services, and systemd's cgroup manager is asked for. Each is the same few verbs to a test."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from ctr import CONFIG as CONTAINERD_CONFIG
from ctr import Ctr
from dockerd import DAEMON, Docker
from ground import CONTAINERD, IMAGE, NATIVE, RUNTIMES, SHIM, Ground, wait_for

MIB = 1 << 20
MEMORY, LESS_MEMORY, PIDS = 64 * MIB, 48 * MIB, 77
QUOTA, PERIOD = 50000, 100000
OPTIONS = ["--network", "none", "--memory", str(MEMORY), "--pids-limit", str(PIDS), "--cpus", str(QUOTA / PERIOD)]
"""Of a container with all limits, for Docker and Podman."""
SCRIPT = 'trap "exit 6" TERM; echo >/ready; while :; do sleep 1000 & wait; done'
EATS = "exec tail /dev/zero"
SCOPES = ("engines-*", "cri-containerd-*", "docker-*", "libpod-*")
SLICE = "prengines.slice"
"""Of pods, as a kubelet makes one for each."""


def systemctl(*words: str) -> str:
    command = ["systemctl", *(["--user"] if os.geteuid() else []), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def show(unit: str, name: str) -> str:
    return systemctl("show", "--value", "--property", name, unit).strip()


def units() -> set[str]:
    """The names of containers' scopes that are in systemd's memory, as the engines here name them."""
    listed = systemctl("list-units", "--all", "--plain", "--no-legend", "--type=scope", *SCOPES)
    return {line.split()[0] for line in listed.splitlines()}


class Host(Ground):
    """The host itself, and a directory on it."""

    def __init__(self, name: str) -> None:
        self.furnish(name)
        self.cgroup = SLICE
        self.services: list[str] = []
        if os.geteuid():
            self.environment |= {
                key: value for key, value in os.environ.items() if key.startswith(("XDG_", "DBUS_", "HOME"))
            }

    def words(self, args: Iterable[str]) -> list[str]:
        return list(args)

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return super().call(*args, **{"timeout": 180, **settings})

    def path(self, inside: str) -> Path:
        return Path(inside)

    def service(self, *args: str, ready: Callable[[], bool]) -> None:
        """Starts a daemon as systemd's, with the properties of its package's unit."""
        unit = f"{self.name}-{Path(args[0]).name}.service"
        options = [f"--setenv={key}={value}" for key, value in self.environment.items()]
        options += ["--property=Delegate=yes", "--property=KillMode=process", "--property=TasksMax=infinity"]
        self.ok("systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, *args)
        self.services.append(unit)

        def settled() -> bool:
            return ready() or show(unit, "ActiveState") not in ("active", "activating")

        wait_for(settled, f"{unit} to answer", 300)
        assert show(unit, "ActiveState") == "active", self.logs()

    def containerd(self, config: str, ready: Callable[[], bool]) -> None:
        """Starts containerd with ``config``, and its state in this directory: the host may have one of its own."""
        file = self.directory / "config.toml"
        file.write_text(config.replace("/run/containerd", f"{self.directory}/state"))
        self.service(str(CONTAINERD), "--config", str(file), ready=ready)

    def logs(self) -> str:
        words = ["journalctl", "--quiet", "--output=cat", "--lines=40"]
        return "\n".join(self.call(*words, f"--unit={unit}").stdout for unit in self.services)

    def close(self) -> None:
        for unit in reversed(self.services):
            systemctl("stop", unit)
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in reversed([point for point in mounts if point.startswith(str(self.directory))]):
            self.call("umount", "--lazy", point)
        # Without root: what is there belongs to the user's sub-ids.
        remove = ["rm", "-rf", str(self.directory)]
        self.call(*(["podman", "unshare", *remove] if os.geteuid() else remove))


class Engine:
    """One engine with one runtime; ``limits`` are those that its client can ask for, by the file on cgroup v2."""

    systemd: ClassVar[bool] = True
    reports_oom: bool = True
    slice: ClassVar[str] = "system.slice"
    limits: ClassVar[dict[str, str]] = {
        "memory.max": str(MEMORY),
        "pids.max": str(PIDS),
        "cpu.max": f"{QUOTA} {PERIOD}",
    }

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime

    def run(self, script: str) -> tuple[int, str]:
        """The status and the output of a container that is removed as it ends."""
        raise NotImplementedError

    def start(self, name: str, script: str = SCRIPT) -> None:
        """Starts a container with all ``limits``, which stays."""
        raise NotImplementedError

    def exec(self, name: str, script: str) -> "subprocess.CompletedProcess[str]":
        raise NotImplementedError

    def pid(self, name: str) -> int:
        raise NotImplementedError

    def unit(self, name: str) -> str:
        """What the container's scope is to be called."""
        raise NotImplementedError

    def stop(self, name: str) -> None:
        """Asks the container's process to end."""
        raise NotImplementedError

    def ended(self, name: str) -> tuple[int, bool]:
        """Waits for the end: the status, and whether the engine says that it ran out of memory."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    def update(self, name: str) -> None:
        """Changes the limit of memory to ``LESS_MEMORY``."""
        raise NotImplementedError

    def restart(self, name: str) -> None:
        raise NotImplementedError

    def held(self, name: str) -> dict[str, str]:
        """The limits as the container sees them, once its script has begun."""
        # In the host's cgroup namespace runc mounts the whole hierarchy.
        script = "until [ -e /ready ]; do sleep 0.1; done; cd /sys/fs/cgroup; [ -e memory.max ] ||"
        script += f" cd .$(cut -d: -f3 /proc/self/cgroup); cat {' '.join(self.limits)}"
        done = self.exec(name, script)
        assert done.returncode == 0, done.stderr
        return dict(zip(self.limits, done.stdout.splitlines(), strict=True))

    def close(self) -> None:
        pass


CONTAINERD_LIMITS = {name: Engine.limits[name] for name in ("memory.max", "cpu.max")}
"""Those that ctr and the CRI can ask for."""


class OfCtr(Engine):
    """`ctr --runc-systemd-cgroup`; the shim of our own is told by its file of options."""

    limits: ClassVar = CONTAINERD_LIMITS
    reports_oom = False

    def __init__(self, runtime: str, archive: Path) -> None:
        super().__init__(runtime)
        self.host = Host("ctr")
        self.ctr = Ctr(self.host, runtime)
        config = CONTAINERD_CONFIG.format(directory=self.host.directory)
        self.host.containerd(config, ready=lambda: self.ctr.call("version").returncode == 0)
        self.ctr.ok("images", "import", str(archive))

    def options(self, name: str) -> list[str]:
        words = ["--memory-limit", str(MEMORY), "--cpu-quota", str(QUOTA), "--cpu-period", str(PERIOD)]
        words += ["--cgroup", f"{self.slice}:engines:{name}"]
        words += ["--mount", "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:noexec:nodev"]
        if self.runtime != NATIVE:
            return [*words, "--runc-systemd-cgroup"]
        file = self.host.directory / "shim.toml"
        file.write_text("SystemdCgroup = true\n")
        return [*words, "--runtime-config-path", str(file)]

    def run(self, script: str) -> tuple[int, str]:
        done = self.ctr.run(["sh", "-c", script], *self.options("runs"), name="runs")
        return done.returncode, done.stdout

    def start(self, name: str, script: str = SCRIPT) -> None:
        self.ctr.start(name, *self.options(name), args=["sh", "-c", script])

    def exec(self, name: str, script: str) -> "subprocess.CompletedProcess[str]":
        done: subprocess.CompletedProcess[str] = self.ctr.exec("sh", "-c", script, name=name)
        return done

    def pid(self, name: str) -> int:
        return self.ctr.pid(name)

    def unit(self, name: str) -> str:
        return f"engines-{name}.scope"

    def stop(self, name: str) -> None:
        self.ctr.ok("tasks", "kill", name)

    def ended(self, name: str) -> tuple[int, bool]:
        self.ctr.await_status("STOPPED", name)
        done = self.ctr.call("tasks", "delete", name)
        # containerd 1.6 exits with the status, 1.7 prints it.
        told = re.search(r"non-zero exit code (\d+)", done.stderr)
        return int(told[1]) if told else done.returncode, False

    def remove(self, name: str) -> None:
        self.ctr.call("tasks", "delete", "--force", name)
        self.ctr.call("containers", "delete", name)

    def close(self) -> None:
        self.ctr.remove_all()
        self.host.close()


class OfDocker(Engine):
    """Docker with native.cgroupdriver=systemd, its default here."""

    def __init__(self, runtime: str, archive: Path) -> None:
        super().__init__(runtime)
        self.host = Host("docker")
        settings = {"exec-opts": ["native.cgroupdriver=systemd"], "bridge": "none", "iptables": False}
        settings |= {"oom-score-adjust": None}  # which Docker 26 does not know
        settings |= {"cgroup-parent": "", "exec-root": f"{self.host.directory}/run"}
        settings |= {"pidfile": f"{self.host.directory}/docker.pid", "userland-proxy": True}
        self.docker = Docker(self.host, runtime)
        Docker.configure(self.host, **settings)
        config = f"{self.host.directory}/daemon.json"
        self.host.service(DAEMON, "--config-file", config, ready=lambda: self.docker.call("version").returncode == 0)
        self.docker.ok("load", "--input", str(archive))

    def run(self, script: str) -> tuple[int, str]:
        done = self.docker.run(["sh", "-c", script], *OPTIONS)
        return done.returncode, done.stdout

    def start(self, name: str, script: str = SCRIPT) -> None:
        self.docker.start(*OPTIONS, args=script, name=name)

    def exec(self, name: str, script: str) -> "subprocess.CompletedProcess[str]":
        return self.docker.call("exec", name, "sh", "-c", script)

    def pid(self, name: str) -> int:
        return int(self.docker.show(".State.Pid", name))

    def unit(self, name: str) -> str:
        return f"docker-{self.docker.show('.Id', name)}.scope"

    def stop(self, name: str) -> None:
        self.docker.ok("stop", "--time", "60", name)

    def ended(self, name: str) -> tuple[int, bool]:
        status = int(self.docker.ok("wait", name))
        return status, self.docker.show(".State.OOMKilled", name) == "true"

    def remove(self, name: str) -> None:
        self.docker.call("rm", "--force", name)

    def update(self, name: str) -> None:
        self.docker.ok("update", "--memory", str(LESS_MEMORY), name)

    def restart(self, name: str) -> None:
        self.docker.ok("restart", "--time", "60", name)

    def close(self) -> None:
        self.docker.remove_all()
        self.host.close()


class OfPodman(Engine):
    """Podman, of root or of a user, with its storage in a directory of its own."""

    manager: ClassVar[str] = "systemd"

    def __init__(self, runtime: str, archive: Path) -> None:
        super().__init__(runtime)
        self.host = Host("podman")
        self.ok("load", "--quiet", "--input", str(archive))
        self.reports_oom = int(self.ok("version", "--format", "{{.Client.Version}}").partition(".")[0]) >= 5

    @property
    def slice(self) -> str:  # type: ignore[override]
        return "user.slice" if os.geteuid() else "machine.slice"

    def words(self, *args: str) -> list[str]:
        place = ["--root", f"{self.host.directory}/storage", "--runroot", f"{self.host.directory}/run"]
        return ["podman", *place, "--cgroup-manager", self.manager, "--runtime", RUNTIMES[self.runtime], *args]

    def call(self, *args: str) -> "subprocess.CompletedProcess[str]":
        return self.host.call(*self.words(*args))

    def ok(self, *args: str) -> str:
        return self.host.ok(*self.words(*args)).rstrip("\n")

    def run(self, script: str) -> tuple[int, str]:
        done = self.call("run", "--rm", *OPTIONS, IMAGE, "sh", "-c", script)
        return done.returncode, done.stdout

    def start(self, name: str, script: str = SCRIPT, *globally: str) -> None:
        self.ok(*globally, "run", "--detach", "--name", name, *OPTIONS, IMAGE, "sh", "-c", script)

    def exec(self, name: str, script: str) -> "subprocess.CompletedProcess[str]":
        return self.call("exec", name, "sh", "-c", script)

    def inspect(self, what: str, name: str) -> str:
        return self.ok("container", "inspect", "--format", "{{." + what + "}}", name)

    def pid(self, name: str) -> int:
        return int(self.inspect("State.Pid", name))

    def unit(self, name: str) -> str:
        return f"libpod-{self.inspect('ID', name)}.scope"

    def stop(self, name: str) -> None:
        self.ok("stop", "--time", "60", name)

    def ended(self, name: str) -> tuple[int, bool]:
        status, killed = self.ok("wait", name), self.inspect("State.OOMKilled", name)
        return int(status), killed == "true"

    def remove(self, name: str) -> None:
        self.call("rm", "--force", "--time", "0", name)

    def update(self, name: str) -> None:
        self.ok("update", "--memory", str(LESS_MEMORY), name)

    def restart(self, name: str) -> None:
        self.ok("restart", "--time", "60", name)

    def close(self) -> None:
        self.call("rm", "--all", "--force", "--time", "0")
        self.host.close()


class OfPodmanWithoutSystemd(OfPodman):
    manager = "cgroupfs"
    systemd = False


def missing(runtime: str) -> str:
    """What of a runtime is not installed."""
    program = RUNTIMES.get(runtime, str(SHIM))
    return "" if shutil.which(program) else program
