"""containerd's CRI with SystemdCgroup = true, on a host that systemd runs."""

import re
import subprocess
from pathlib import Path
from typing import ClassVar

from cri import CONFIG, Cri, node_settings
from ground import CONTAINERD, image
from on_systemd import CONTAINERD_LIMITS, LESS_MEMORY, MEMORY, PERIOD, QUOTA, SCRIPT, SLICE, Engine, Host

RUNC = """
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
"""
BY_FILE = """
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.pyrunc.options]
ConfigPath = "{directory}/shim.toml"
"""


def settings(host: Host) -> str:
    """What docs/engines.md tells to write, with the lines for the kubelet's cgroupDriver: systemd."""
    text = node_settings()
    old = " 1.6." in subprocess.run([str(CONTAINERD), "--version"], capture_output=True, text=True, check=True).stdout
    if old:  # passes no options to a shim that is not runc's, but the path of a file
        (host.directory / "shim.toml").write_text("SystemdCgroup = true\n")
        text = re.sub(r"# (SystemdCgroup = true)", r"\1", text) + BY_FILE.format(directory=host.directory)
    else:
        text = re.sub(r"# (\[plugins.*\.options\]|(?:  )?SystemdCgroup = true)", r"\1", text)
        assert text.count("\n  [plugins") == 2, text
    return text + CONFIG.format(directory=host.directory, snapshotter="overlayfs") + RUNC


class OfCri(Engine):
    """A container in a pod of its own, in the host's network: no CNI is needed."""

    slice: ClassVar = SLICE
    limits: ClassVar = CONTAINERD_LIMITS

    def __init__(self, runtime: str, archive: Path) -> None:
        super().__init__(runtime)
        self.host = Host("cri")
        (self.host.directory / "cni").mkdir()
        self.cri = Cri(self.host, runtime)
        self.host.containerd(settings(self.host), ready=self.cri.answers)
        pause = image(
            self.host.directory / "pause.tar", "localhost/pause:latest", Entrypoint=["sleep", "100000000"], Cmd=[]
        )
        for file in (archive, pause):
            words = ["ctr", "--address", f"{self.host.directory}/containerd.sock", "--namespace", "k8s.io"]
            self.host.ok(*words, "images", "import", str(file))
        self.ids: dict[str, str] = {}

    def start(self, name: str, script: str = SCRIPT) -> None:
        resources = {"cpu_quota": QUOTA, "cpu_period": PERIOD, "memory_limit_in_bytes": MEMORY}
        self.ids[name] = self.cri.start(self.cri.pod(network="NODE"), script, resources=resources)

    def run(self, script: str) -> tuple[int, str]:
        self.start("runs", script)
        status, output = self.ended("runs")[0], self.cri.log(self.ids["runs"])
        self.remove("runs")
        return status, output

    def exec(self, name: str, script: str) -> "subprocess.CompletedProcess[str]":
        done = self.cri.exec(self.ids[name], "sh", "-c", script, timeout=60)
        return subprocess.CompletedProcess([script], done.exit_code, done.stdout.decode(), done.stderr.decode())

    def pid(self, name: str) -> int:
        return self.cri.pid(self.ids[name])

    def unit(self, name: str) -> str:
        return f"cri-containerd-{self.ids[name]}.scope"

    def stop(self, name: str) -> None:
        self.cri.call("StopContainer", container_id=self.ids[name], timeout=60)

    def ended(self, name: str) -> tuple[int, bool]:
        status = self.cri.await_exit(self.ids[name])
        return status.exit_code, status.reason == "OOMKilled"

    def remove(self, name: str) -> None:
        """With its pod, which holds nothing else: no test has two containers at the same time."""
        self.cri.remove_all()

    def update(self, name: str) -> None:
        limits = {"memory_limit_in_bytes": LESS_MEMORY}
        self.cri.call("UpdateContainerResources", container_id=self.ids[name], linux=limits)

    def close(self) -> None:
        self.cri.close()
        self.host.close()
