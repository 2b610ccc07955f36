"""The shim without containerd: a pod driven by the shim's calls, and a stand-in that receives containerd's events."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ground import SHIM, TOP, Ground, wait_for
from pyrunc.shim.messages import SPEC, any_of, decode, encode
from pyrunc.shim.service import REQUESTS
from pyrunc.shim.ttrpc import Frames, frame
from pyrunc.spec.default import config as default_config

ROOTFS = TOP / "bundles" / "busybox" / "rootfs"
NAMESPACE = "faults"
NOT_FOUND, EXISTS, INVALID, PRECONDITION, EXHAUSTED, DEADLINE = 5, 6, 3, 9, 8, 4
ANSWERS = {
    "State": "StateResponse",
    "Create": "CreateTaskResponse",
    "Start": "StartResponse",
    "Delete": "DeleteResponse",
    "Pids": "PidsResponse",
    "Wait": "WaitResponse",
    "Stats": "StatsResponse",
    "Connect": "ConnectResponse",
}


class Refused(Exception):
    """A status other than OK."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Link:
    """One connection to a shim."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        # By descriptor: the path may be longer than sun_path.
        directory = os.open(path.parent, os.O_PATH)
        self.socket.connect(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        self.frames = Frames()
        self.stream = -1
        self.answers: dict[int, bytes] = {}

    def send(self, method: str, **fields: Any) -> tuple[int, str]:
        """Begins a call; returns the argument for ``take``."""
        self.stream += 2
        payload = encode(REQUESTS[method], fields)
        request = {"service": "containerd.task.v2.Task", "method": method, "payload": payload}
        self.socket.sendall(frame(self.stream, 1, encode("Request", request)))
        return self.stream, method

    def take(self, begun: tuple[int, str]) -> dict[str, Any]:
        """Returns the answer to a call that ``send`` began."""
        stream, method = begun
        while stream not in self.answers:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the shim has ended")
            self.answers.update((number, body or b"") for number, _, _, body in self.frames.feed(data))
        response = decode("Response", self.answers.pop(stream))
        status = response.get("status", {})
        if status.get("code"):
            raise Refused(status["code"], status.get("message", ""))
        return decode(ANSWERS.get(method, "Empty"), response.get("payload", b""))

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        """Makes one call and returns its answer."""
        return self.take(self.send(method, **fields))


class Containerd:
    """Receives events while it ``listens``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.listener: socket.socket | None = None
        self.peers: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        listener = self.listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Closes every connection, as if containerd was killed."""
        assert self.listener is not None
        for one in (self.listener, *self.peers):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        self.peers.clear()
        self.path.unlink()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        frames = Frames()
        try:
            while data := peer.recv(1 << 16):
                for stream, _, _, body in frames.feed(data):
                    envelope = decode("ForwardRequest", decode("Request", body or b"")["payload"])["envelope"]
                    event = envelope["event"]
                    kind = event["type_url"].rpartition(".")[2]
                    self.events.append((envelope["topic"], decode(kind, event.get("value", b""))))
                    peer.sendall(frame(stream, 2, encode("Response", {"status": {}})))
        except OSError:
            return

    def topics(self, container: str) -> list[str]:
        """Returns the topics of a container's events, in order, without /tasks/."""
        return [topic.rpartition("/")[2] for topic, event in self.events if event["container_id"] == container]


class Pod:
    """A shim in ``ground`` and its calls. ``group``: containers of one group share a shim."""

    def __init__(self, ground: Ground, group: str) -> None:
        self.ground = ground
        self.group = group
        self.containerd = Containerd(ground.directory / f"{group}.ttrpc")
        self.links: list[Link] = []

    def bundle(
        self, name: str, args: list[str] | str, change: Callable[[dict[str, Any]], object] | None = None
    ) -> Path:
        made = self.ground.directory / self.group / name
        made.mkdir(parents=True)
        config = default_config()
        config["process"]["terminal"] = False
        config["process"]["args"] = ["sh", "-c", args] if isinstance(args, str) else args
        config["root"]["path"] = "rootfs"
        config["linux"]["cgroupsPath"] = f"{self.ground.cgroup}/{name}"
        config["annotations"] = {"io.containerd.runc.v2.group": self.group}
        if change is not None:
            change(config)
        (made / "config.json").write_text(json.dumps(config))
        return made

    def command(self, name: str, bundle: Path, *words: str, given: bytes = b"", **variables: str) -> Any:
        """Executes the shim's binary as containerd does."""
        environment = {**self.ground.environment, "TTRPC_ADDRESS": str(self.containerd.path), **variables}
        arguments = ["-namespace", NAMESPACE, "-id", name, "-address", f"{self.ground.directory}/c.sock", *words]
        # nsenter's --wd is resolved outside of the namespace: a shell changes the directory.
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(bundle), str(SHIM), *arguments]
        return self.ground.call(*inside, env=environment, input=given, text=False)

    def start(self, name: str, bundle: Path, **variables: str) -> Link:
        """Executes `start`, and connects to the address that it prints."""
        done = self.command(name, bundle, "-publish-binary", "/bin/false", "-debug", "start", **variables)
        assert done.returncode == 0, done.stderr
        path = done.stdout.decode().removeprefix("unix://")
        link = Link(self.ground.path(path))
        self.links.append(link)
        return link

    def create(
        self, link: Link, name: str, bundle: Path, mounts: list[dict[str, Any]] | None = None, **streams: Any
    ) -> dict[str, Any]:
        if mounts is None:
            mounts = [{"type": "bind", "source": str(ROOTFS), "options": ["rbind", "ro"]}]
        return link.call("Create", id=name, bundle=str(bundle), rootfs=mounts, **streams)

    def run(self, name: str, args: list[str] | str, **more: Any) -> Link:
        """A running container and the connection to its shim."""
        bundle = self.bundle(name, args, more.pop("change", None))
        link = self.start(name, bundle)
        self.create(link, name, bundle, **more)
        link.call("Start", id=name)
        return link

    def exec(self, link: Link, name: str, exec_id: str, args: list[str], **streams: Any) -> None:
        """Calls Exec for the spec's default process, without Start."""
        process = {**default_config()["process"], "args": args, "terminal": False}
        spec = any_of(f"{SPEC}Process", json.dumps(process).encode())
        link.call("Exec", id=name, exec_id=exec_id, spec=spec, **streams)

    def shim(self) -> int:
        """Returns the shim's pid inside of the ground."""
        return int(self.links[0].call("Connect", id="")["shim_pid"])

    def kill_shim(self) -> None:
        pid = self.shim()
        self.ground.ok("kill", "-9", str(pid))
        wait_for(lambda: pid not in self.ground.processes(), "the shim's end")

    def fifo(self, name: str) -> Path:
        made = self.ground.directory / self.group / f"{name}.fifo"
        os.mkfifo(made)
        return made

    def end(self) -> None:
        """Removes leftovers, as containerd does after a shim's end."""
        for link in self.links:
            try:
                link.call("Shutdown", id="")
            except (OSError, Refused):
                pass
        for bundle in sorted((self.ground.directory / self.group).glob("*/config.json")):
            self.command(bundle.parent.name, bundle.parent, "-bundle", str(bundle.parent), "delete")
        for pid, words in self.ground.others().items():
            if f"-id {self.group}" in words or "containerd-shim-pyrunc" in words:
                self.ground.call("kill", f"-{signal.SIGKILL}", str(pid))
        self.containerd.stop()


def name(pod: Pod, suffix: str = "a") -> str:
    return f"{pod.group}-{suffix}"


def finish(pod: Pod, link: Any, container: str) -> dict[str, Any]:
    """Ends a container and deletes it; returns the answer of Delete."""
    try:
        link.call("Kill", id=container, signal=signal.SIGKILL)
    except Refused:
        pass
    link.call("Wait", id=container)
    return link.call("Delete", id=container)


def refused(code: int, call: Any, *args: Any, **fields: Any) -> str:
    with pytest.raises(Refused) as caught:
        call(*args, **fields)
    assert caught.value.code == code, caught.value
    assert "\n" not in caught.value.message
    return caught.value.message


def mounts(pod: Pod) -> list[str]:
    return [line.split()[4] for line in pod.ground.path("/proc/1/mountinfo").read_text().splitlines()]


def bind() -> list[dict[str, Any]]:
    return [{"type": "bind", "source": str(ROOTFS), "options": ["rbind", "ro"]}]


def outside(pod: Pod, pid: int) -> int:
    """Returns the host's pid of a process of the ground's pid namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = next(x for x in (entry / "status").read_text().splitlines() if x.startswith("NSpid:"))
                same = os.readlink(entry / "ns" / "pid") == os.readlink(f"/proc/{pod.ground.holder}/ns/pid")
            except (OSError, StopIteration):
                continue
            if same and int(line.split()[-1]) == pid:
                return int(entry.name)
    raise AssertionError(f"no process {pid}")


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def read_until(descriptor: int, text: bytes) -> bytes:
    found = b""

    def more() -> bool:
        nonlocal found
        try:
            found += os.read(descriptor, 65536)
        except BlockingIOError:
            pass
        return text in found

    try:
        wait_for(more, f"{text!r}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {len(found)} bytes, at last {found[-80:]!r}") from None
    return found
