"""Compiles device nodes and links of /dev (runtime-spec "Default Devices", "Dev symbolic links")."""

from pyrunc.cgroup.paths import clean
from pyrunc.errors import SpecError
from pyrunc.plan.mount_list import destination
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.mount_list import Mounts
    from pyrunc.spec.types import Config

S_IFIFO, S_IFCHR, S_IFBLK = 0o010000, 0o020000, 0o060000
TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}

DEFAULT = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)


def add(mounts: "Mounts", spec: "Config", bind: bool) -> None:
    """Adds all nodes and links. ``bind``: bind the host's nodes, because mknod(2) is denied in a user namespace.

    Does nothing if the config binds /dev from the host.
    """
    if any(clean(mount.destination) == "dev" and _is_bind(mount) for mount in spec.mounts):
        return
    made = set()
    for index, device in enumerate(spec.linux.devices):
        where = f"linux.devices[{index}]"
        path = destination(device.path)
        made.add(path)
        mode = device.file_mode if device.file_mode is not None else 0o666
        numbers = (device.major or 0, device.minor or 0)
        _add(mounts, where, path, TYPES[device.type], numbers, (mode & 0o7777, device.uid or 0, device.gid or 0), bind)
    for name, major, minor in DEFAULT:
        if f"/dev/{name}" not in made:
            _add(mounts, "linux.devices", f"/dev/{name}", S_IFCHR, (major, minor), (0o666, 0, 0), bind)
    mounts.inside += [Step("symlink", "linux.devices", target, path) for target, path in LINKS]
    mounts.inside.append(Step("symlink", "linux.devices", "pts/ptmx", "/dev/ptmx"))


def _is_bind(mount: object) -> bool:
    return mount.type == "bind" or any(option in ("bind", "rbind") for option in mount.options)  # type: ignore[attr-defined]


def _add(
    mounts: "Mounts",
    where: str,
    path: str,
    type_: int,
    numbers: "tuple[int, int]",
    owner: "tuple[int, int, int]",
    bind: bool,
) -> None:
    if path in ("/dev/ptmx", "/dev/pts/ptmx"):
        return  # the container's own devpts provides them
    if bind and type_ != S_IFIFO:
        if not path.startswith("/dev/"):
            raise SpecError(f"{where}.path", "in a user namespace only devices of the host's /dev can be bound")
        slot = mounts.tree(path, False, where)
        mounts.inside.append(Step("attach", where, slot, path, 0, 0, 0, 0, 0, 0))
    else:
        mounts.inside.append(Step("device", where, path, type_, *numbers, *owner))
