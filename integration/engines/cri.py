"""containerd's CRI plugin, driven as a kubelet drives it: over its gRPC socket."""

import importlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_tools import protoc

from ctr import NETWORK, Ctr
from ground import CONTAINERD, IMAGE, NATIVE, RUNTIMES, TOP, Ground, image, wait_for

TRAP = "trap 'echo got it; exit 6' TERM; echo ready; while :; do sleep 0.05; done"
NUMBERS = itertools.count(1)
HANDLERS = {"pyrunc": "pyrunc-cli", NATIVE: "pyrunc", "runc": "runc"}
"""Runtime handlers of config.toml; the RuntimeClass refers to "pyrunc"."""
HERE = Path(__file__).parent
DEPLOY = TOP / "deploy" / "kubernetes"
CONFIG = """
root = "{directory}/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:latest"
stream_server_address = "127.0.0.1"
stream_server_port = "0"
tolerate_missing_hugetlb_controller = true
# Without CAP_SYS_RESOURCE the sandbox's score can't be lowered.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{directory}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
snapshotter = "{snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def messages(directory: Path) -> Any:
    """The module of the messages in cri.proto, compiled into ``directory``."""
    if "cri_pb2" not in sys.modules:
        assert protoc.main(["", f"-I{HERE}", f"--python_out={directory}", str(HERE / "cri.proto")]) == 0
        sys.path.insert(0, str(directory))
    return importlib.import_module("cri_pb2")


def node_settings() -> str:
    """Returns the settings of deploy/kubernetes for a node, with the path of the pyrunc under test."""
    text = (DEPLOY / "containerd-config.toml").read_text()
    assert text.count('"/usr/local/bin/pyrunc"') == 1
    assert text.count('runtime_type = "io.containerd.pyrunc.v1"') == 1
    return text.replace('"/usr/local/bin/pyrunc"', f'"{RUNTIMES["pyrunc"]}"')


@contextmanager
def ready(name: str, archive: Path) -> Iterator[Ground]:
    """A ground called ``name``, on which containerd runs with CRI and has the image and that of a pod's sandbox."""
    with Ground(name, private=["/var/lib/containerd"]) as made:
        pause = image(made.directory / "pause.tar", "localhost/pause:latest", Entrypoint=["sleep", "100000000"], Cmd=[])
        prepare(made, archive, pause)
        yield made


def prepare(ground: Ground, archive: Path, pause: Path) -> None:
    """Starts containerd with CRI in ``ground`` and loads the images into Kubernetes' namespace."""
    (ground.directory / "cni").mkdir()
    network = json.loads(json.dumps(NETWORK))
    network["plugins"][0]["ipam"]["dataDir"] = f"{ground.directory}/addresses"
    (ground.directory / "cni" / "10-engines.conflist").write_text(json.dumps(network))
    (ground.directory / "config.toml").write_text(
        node_settings()
        + CONFIG.format(directory=ground.directory, snapshotter=ground.environment["CONTAINERD_SNAPSHOTTER"])
    )
    tool = Ctr(ground, "", namespace="k8s.io")
    ground.daemon(
        str(CONTAINERD),
        "--config",
        str(ground.directory / "config.toml"),
        ready=lambda: tool.call("version").returncode == 0,
    )
    for file in (archive, pause):
        tool.ok("images", "import", str(file))


class Cri:
    """The kubelet's side of one test. Pods and containers are removed at the end of the test."""

    def __init__(self, ground: Ground, runtime: str) -> None:
        self.ground = ground
        self.runtime = HANDLERS[runtime]
        self.types = messages(ground.directory)
        self.channel = grpc.insecure_channel(f"unix:{ground.directory}/containerd.sock")
        self.service = self.types.DESCRIPTOR.services_by_name["RuntimeService"]
        self.pods: dict[str, Any] = {}
        self.logs: dict[str, Path] = {}

    def call(self, method: str, **fields: Any) -> Any:
        """One call: keyword arguments are the request's fields."""
        found = self.service.methods_by_name[method]
        request = getattr(self.types, found.input_type.name)(**fields)
        answer = getattr(self.types, found.output_type.name)
        invoke = self.channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return invoke(request, timeout=60)

    def error(self, method: str, **fields: Any) -> str:
        """Returns the error message of a call that must fail."""
        try:
            self.call(method, **fields)
        except grpc.RpcError as error:
            return str(error.details())
        raise AssertionError(f"{method} did not fail")

    def answers(self) -> bool:
        """True if the engine answers calls."""
        try:
            return bool(self.call("Version").version)
        except grpc.RpcError:
            return False

    def pod_config(self, **options: Any) -> Any:
        """A pod's configuration; ``options`` are its fields, and ``network``, ``pid``, ``ipc``, ``sysctls``."""
        name = f"pod{next(NUMBERS)}"
        logs = self.ground.directory / "logs" / name
        logs.mkdir(parents=True, exist_ok=True)
        namespaces = {kind: options.pop(kind) for kind in ("network", "pid", "ipc") if kind in options}
        security = {"namespace_options": namespaces, "privileged": options.pop("privileged", False)}
        linux = {
            "cgroup_parent": self.ground.cgroup,
            "security_context": security,
            "sysctls": options.pop("sysctls", {}),
        }
        metadata = {"name": name, "uid": f"{name}-{self.runtime}", "namespace": "default"}
        hostname = "" if namespaces.get("network") == "NODE" else options.pop("hostname", name)
        return self.types.PodSandboxConfig(
            metadata=metadata, hostname=hostname, log_directory=str(logs), linux=linux, **options
        )

    def pod(self, **options: Any) -> str:
        """Runs a sandbox on the runtime under test; returns its id."""
        config = self.pod_config(**options)
        made = self.call("RunPodSandbox", config=config, runtime_handler=self.runtime).pod_sandbox_id
        self.pods[made] = config
        return str(made)

    def create(self, pod: str, script: list[str] | str = "exec sleep 1000", **options: Any) -> str:
        """Creates a container; ``options`` are ContainerConfig's fields, ``security`` and ``resources`` those of its own."""
        number = next(NUMBERS)
        security, resources = options.pop("security", {}), options.pop("resources", {})
        # The kubelet's default for a pod that does not set it.
        security.setdefault("namespace_options", {"pid": "CONTAINER"})
        config = {
            "metadata": {"name": f"c{number}"},
            "image": {"image": IMAGE},
            "command": script if isinstance(script, list) else ["sh", "-c", script],
            "log_path": f"c{number}.log",
            "linux": {"security_context": security, "resources": resources},
            **options,
        }
        made = self.call("CreateContainer", pod_sandbox_id=pod, config=config, sandbox_config=self.pods[pod])
        self.logs[made.container_id] = Path(self.pods[pod].log_directory) / f"c{number}.log"
        return str(made.container_id)

    def start(self, pod: str, script: list[str] | str = "exec sleep 1000", **options: Any) -> str:
        """Creates and starts a container."""
        made = self.create(pod, script, **options)
        self.call("StartContainer", container_id=made)
        return made

    def status(self, container: str) -> Any:
        return self.call("ContainerStatus", container_id=container).status

    def pid(self, container: str) -> int:
        """The pid of a container's init."""
        info = self.call("ContainerStatus", container_id=container, verbose=True).info["info"]
        found = re.search(r'"pid":(\d+)', info)
        assert found
        return int(found[1])

    def await_exit(self, container: str) -> Any:
        """Waits until a container has exited; returns its status."""
        wait_for(lambda: self.status(container).state == self.types.CONTAINER_EXITED, "the container's end")
        return self.status(container)

    def log(self, container: str) -> str:
        """Returns a container's output, without the time and the name of the stream in each line of CRI's log."""
        return "".join(line.split(" ", 3)[3] + "\n" for line in self.logs[container].read_text().splitlines())

    def out(self, script: list[str] | str, pod: str = "", code: int = 0, **options: Any) -> str:
        """Returns the output of a container that must exit with ``code``."""
        pod = pod or self.pod()
        container = self.start(pod, script, **options)
        status = self.await_exit(container)
        text = self.log(container)
        assert status.exit_code == code, (status, text)
        return text

    def exec(self, container: str, *command: str, timeout: int = 20) -> Any:
        return self.call("ExecSync", container_id=container, cmd=command, timeout=timeout)

    def said(self, container: str, *command: str) -> str:
        """Returns the output of a command executed in a container, which must succeed."""
        done = self.exec(container, *command)
        assert done.exit_code == 0, done
        return done.stdout.decode()

    def stream(self, url: str, *options: str, data: str = "") -> "subprocess.CompletedProcess[str]":
        """Connects to a streaming URL from inside of the ground."""
        return self.ground.call(sys.executable, str(HERE / "stream.py"), url, *options, input=data)

    def limit(self, container: str, controller: str, file: str) -> str:
        return self.ground.limit(controller, container, file)

    def source(self, name: str) -> Path:
        """A new directory to bind."""
        made = self.ground.directory / f"{name}-{self.runtime}"
        made.mkdir()
        return made

    def remove_all(self) -> None:
        for pod in self.call("ListPodSandbox").items:
            self.call("StopPodSandbox", pod_sandbox_id=pod.id)
            self.call("RemovePodSandbox", pod_sandbox_id=pod.id)

    def close(self) -> None:
        """Removes everything, and ends the connection."""
        self.remove_all()
        self.channel.close()
