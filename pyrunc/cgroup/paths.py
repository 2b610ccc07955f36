"""The directories of a container's cgroups, by runc's rules for ``linux.cgroupsPath``."""

import posix

from pyrunc.cgroup.host import UNIFIED
from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroup.host import Host


def clean(path: str) -> str:
    """Returns ``path`` without ``.``, ``..`` and extra slashes. A ``..`` at the top is dropped, as at ``/``."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def resolve(host: "Host", cgroups_path: str, container_id: str) -> "dict[str, str]":
    """Returns {hierarchy name: absolute directory}.

    An absolute path starts at the hierarchy's top. A relative path, or the id if the path is absent, is below the
    cgroup of this process. On a host with v2 only, it is below that cgroup's parent instead, because a cgroup that has
    processes cannot enable controllers for its children (cgroups(7), "no internal processes").
    """
    inner = clean(cgroups_path or container_id)
    if not inner:
        raise SpecError("linux.cgroupsPath", f"{cgroups_path!r} is the root cgroup")
    dirs = {}
    for hierarchy in host.hierarchies:
        own = hierarchy.own
        if cgroups_path.startswith("/"):
            own = ""
        elif hierarchy.name == UNIFIED and host.mode == "unified":
            own = own.rpartition("/")[0]
        dirs[hierarchy.name] = f"{hierarchy.mountpoint}{own}/{inner}"
    return dirs


def writable(dirs: "dict[str, str]") -> "dict[str, str]":
    """Returns the part of ``dirs`` that this process is permitted to make: the cgroups that are delegated to a user
    without privileges (LXC, systemd's Delegate=)."""
    kept = {}
    for name, directory in dirs.items():
        above = directory
        while True:
            above = above.rpartition("/")[0]
            try:
                posix.stat(above)
                break
            except FileNotFoundError:
                continue
        if posix.access(above, posix.W_OK) and posix.access(f"{above}/cgroup.procs", posix.W_OK):
            kept[name] = directory
    return kept


def entries(dirs: "dict[str, str]") -> "list[str]":
    """Returns ``dirs`` {hierarchy: directory} as arguments of a step: ``HIERARCHY:DIRECTORY``, as in
    /proc/PID/cgroup."""
    return [f"{name}:{directory}" for name, directory in dirs.items()]


def directories(words: "Sequence[str]") -> "dict[str, str]":
    """The reverse of ``entries``. The name of a hierarchy does not contain a colon (cgroups(7))."""
    return dict(word.split(":", 1) for word in words)
