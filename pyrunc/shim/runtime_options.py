"""The runtime options that containerd passes to `start` and with Create: runc's options, or the generic ones for a shim
that it does not know."""

from pyrunc import log
from pyrunc.linux import files
from pyrunc.shim.messages import decode, kind_of
from pyrunc.shim.ttrpc import INVALID_ARGUMENT, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = "/run/containerd/pyrunc"
"""The state directory is the subdirectory that has the name of the containerd namespace."""
FILE = "options.json"
"""The file with the options in the bundle, if there are any."""
FOREIGN = "runtimeoptions.v1.Options"
KINDS = {
    # type of the Any: name of the message
    "containerd.runc.v1.Options": "Options",
    "containerd.linux.runc.CreateOptions": "LegacyCreateOptions",
    "containerd.linux.runc.RuncOptions": "LegacyRuncOptions",
    FOREIGN: "RuntimeOptions",
}
NAMES = {
    # name in config.toml: field of the message
    "NoPivotRoot": "no_pivot_root",
    "NoNewKeyring": "no_new_keyring",
    "ShimCgroup": "shim_cgroup",
    "IoUid": "io_uid",
    "IoGid": "io_gid",
    "BinaryName": "binary_name",
    "Root": "root",
    "CriuPath": "criu_path",
    "SystemdCgroup": "systemd_cgroup",
    "CriuImagePath": "criu_image_path",
    "CriuWorkPath": "criu_work_path",
}


def read(given: "dict[str, Any] | None") -> "dict[str, Any]":
    """Returns the fields of ``Options`` (messages.py) that an Any of either kind sets. Unknown fields are ignored.

    For an unknown runtime type, containerd's CRI plugin sends the table of config.toml as TOML (since 1.7), or the path
    of a file that contains it (``ConfigPath``). Raises Failure if the options cannot be read.
    """
    kind = kind_of(given)
    if given is None or not kind:
        return {}
    try:
        if kind not in KINDS:
            log.warning(f"shim: options of type {kind} are ignored")
            return {}
        options = decode(KINDS[kind], given.get("value", b""))
        if kind == FOREIGN:
            options = _foreign(options)
    except ValueError as error:
        raise Failure(INVALID_ARGUMENT, f"runtime options can't be read: {error}") from None
    except OSError as error:
        raise Failure(INVALID_ARGUMENT, f"runtime options: {error.filename}: {error.strerror}") from None
    if options.get("binary_name"):
        log.debug(f"shim: BinaryName {options['binary_name']} is ignored: this shim executes no runtime")
    return options


def _foreign(wrapped: "dict[str, Any]") -> "dict[str, Any]":
    body = wrapped.get("config_body", b"")
    if not body and wrapped.get("config_path"):
        body = files.read(wrapped["config_path"])
    if not body.strip():
        return {}
    import tomllib  # rarely needed, and large

    table = tomllib.loads(body.decode())
    known = {NAMES[name]: value for name, value in table.items() if name in NAMES}
    for name, value in known.items():
        wanted: Any = bool if name in ("no_pivot_root", "no_new_keyring", "systemd_cgroup") else str
        wanted = int if name in ("io_uid", "io_gid") else wanted
        if type(value) is not wanted:
            raise ValueError(f"{name}: {value!r} is no {wanted.__name__}")
    return known


def remember(bundle: str, options: "dict[str, Any]") -> None:
    """Writes the options into the bundle. `start` writes them for the server, which may be another container's, and the
    server for `delete`. Raises OSError."""
    from pyrunc.linux.output import replace
    from pyrunc.spec.json_text import dumps

    replace(f"{bundle}/{FILE}", dumps(options).encode(), 0o600)


def remembered(bundle: str) -> "dict[str, Any]":
    """Returns the options that were written into a bundle, {} if there are none."""
    from pyrunc.linux.files import read as read_file
    from pyrunc.spec.json_text import loads

    try:
        return dict(loads(read_file(f"{bundle}/{FILE}")))
    except (OSError, ValueError, TypeError):
        return {}


def state_root(options: "dict[str, Any]", namespace: str) -> str:
    """Returns the state directory for this namespace's containers."""
    return f"{options.get('root') or ROOT}/{namespace}"
