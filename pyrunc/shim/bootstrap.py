"""How a shim is found and started: containerd's request, the pod's socket, and the reply.

Three protocols are supported, to which containerd falls back in this order: the bootstrap protocol of 2.3
(BootstrapParams on standard input that name the same container as the command line; the reply is a BootstrapResult),
JSON if MAX_SHIM_VERSION is 3, and the bare address.
"""

import errno
import posix
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, socket

from pyrunc.errors import PyruncError
from pyrunc.linux.files import make_directories, read, write
from pyrunc.shim import runtime_options
from pyrunc.shim.messages import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SOCKETS = "/run/containerd/s"
GROUPS = ("io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id")
"""Annotations. Containers with the same value of the first one that exists share a shim."""
BACKLOG = 128
VERSION = 3
"""The version of the task service: containerd.task.v3."""
DEBUG = -4
"""BootstrapParams.log_level: debug. Lower values log more."""


class Parameters:
    """The request of `start`. ``values``: the options of the command line, completed from the other sources."""

    def __init__(self, values: "dict[str, Any]", given: bytes, variable: "Callable[[str], str]") -> None:
        self.values = values
        self.container_id, self.namespace = str(values["id"]), str(values["namespace"])
        params: dict[str, Any] = {}
        try:
            params = decode("BootstrapParams", given)
        except ValueError:
            pass
        # Older versions send an Any of runtime options, which can also be decoded as BootstrapParams.
        self.modern = (params.get("instance_id"), params.get("namespace")) == (self.container_id, self.namespace)
        self.options: dict[str, Any] = {}
        if self.modern:
            values["debug"] = values["debug"] or params.get("log_level", 0) <= DEBUG
            values["publish-binary"] = values["publish-binary"] or params.get("containerd_binary", "")
            values["address"] = values["address"] or params.get("containerd_grpc_address", "")
            values["ttrpc"] = params.get("containerd_ttrpc_address", "")
            for extension in params.get("extensions", ()):
                self.options |= self._read(extension.get("value"))
        else:
            self.options = self._read_any(given)
        self.address = str(values["address"] or variable("GRPC_ADDRESS"))

    def _read_any(self, given: bytes) -> "dict[str, Any]":
        try:
            return self._read(decode("Any", given))
        except ValueError:
            return {}

    def _read(self, given: "dict[str, Any] | None") -> "dict[str, Any]":
        """Returns the options. Only ShimCgroup is needed now; Create passes the options again."""
        from pyrunc.shim.messages import kind_of

        return runtime_options.read(given) if kind_of(given) in runtime_options.KINDS else {}

    def answer(self, address: str, most: str) -> bytes:
        """Returns the text that `start` prints. ``most``: MAX_SHIM_VERSION."""
        if self.modern:
            return encode("BootstrapResult", {"version": VERSION, "address": address, "protocol": "ttrpc"})
        if most.isdigit() and int(most) >= VERSION:
            from pyrunc.spec.json_text import dumps

            return dumps({"version": VERSION, "address": address, "protocol": "ttrpc"}).encode()
        return address.encode()


def group(bundle: str, container_id: str) -> str:
    """Returns the name that the containers of a pod share: the sandbox's id, or that of a single container."""
    from pyrunc.spec.json_text import loads

    try:
        annotations = loads(read(f"{bundle}/config.json")).get("annotations") or {}
    except (OSError, ValueError, AttributeError):
        return container_id  # Create reports the error
    found = [annotations[name] for name in GROUPS if isinstance(annotations, dict) and annotations.get(name)]
    return str(found[0]) if found else container_id


def socket_path(address: str, namespace: str, name: str) -> str:
    """Returns the same path for all containers of a group, and another for others. It is short enough for sun_path
    (unix(7))."""
    from _blake2 import blake2b

    digest = blake2b(f"{address}/{namespace}/{name}".encode("utf-8", "surrogateescape"), digest_size=32)
    return f"{SOCKETS}/{digest.hexdigest()}"


def listen(path: str) -> int:
    """Returns a listening socket at ``path``, -1 if another shim answers there. The socket of a dead shim is
    replaced."""
    try:
        make_directories(path.rpartition("/")[0], 0o711)
    except OSError as error:
        raise PyruncError(f"mkdir {error.filename}: {(error.strerror or '').lower()}") from None
    made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        for last in (False, True):
            try:
                made.bind(path)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or last:
                    raise PyruncError(f"socket {path}: {(error.strerror or '').lower()}") from None
            if answers(path):
                return -1
            _unlink(path)
        posix.chmod(path, 0o600)
        made.listen(BACKLOG)
        return int(made.detach())
    finally:
        made.close()


def answers(path: str) -> bool:
    """Whether a process listens at ``path``."""
    tried = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        tried.connect(path)
        return True
    except OSError:
        return False
    finally:
        tried.close()


def inherited(path: str) -> int:
    """Returns the listening socket of a server that was started by hand: descriptor 3, or a new one at ``path``."""
    if path:
        listener = listen(path)
        if listener < 0:
            raise PyruncError(f"socket {path}: another shim answers there")
        return listener
    try:
        if posix.fstat(3).st_mode & 0o170000 != 0o140000:
            raise PyruncError("descriptor 3 is no socket")
    except OSError:
        raise PyruncError("neither a socket as descriptor 3 nor -socket") from None
    posix.set_inheritable(3, False)
    return 3


def write_address(address: str) -> None:
    """Writes the address into the bundle, the current directory. containerd up to 1.7 finds a shim by it after a
    restart."""
    from pyrunc.linux.output import replace

    try:
        replace("address", address.encode(), 0o600)
    except OSError as error:
        raise PyruncError(f"address: {(error.strerror or '').lower()}") from None


def forget(bundle: str) -> None:
    """Removes the socket of a killed shim."""
    try:
        path = read(f"{bundle}/address").decode("utf-8", "surrogateescape").removeprefix("unix://")
    except OSError:
        return
    if path.startswith(f"{SOCKETS}/") and not answers(path):
        _unlink(path)


def place(pid: int, cgroup: str) -> None:
    """Moves ``pid`` into the cgroup (ShimCgroup) in every hierarchy that has it. Raises PyruncError if none has."""
    from pyrunc.cgroup import host

    placed = False
    for hierarchy in host.discover().hierarchies:
        try:
            write(f"{hierarchy.mountpoint}/{cgroup.strip('/')}/cgroup.procs", str(pid))
            placed = True
        except FileNotFoundError:
            continue
        except OSError as error:
            raise PyruncError(
                f"ShimCgroup {cgroup}: {hierarchy.mountpoint}: {(error.strerror or '').lower()}"
            ) from None
    if not placed:
        raise PyruncError(f"ShimCgroup {cgroup}: no such cgroup")


def _unlink(path: str) -> None:
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass
