"""Mounts of type cgroup: the container's part of each hierarchy, as the host has them."""

from pyrunc.errors import SpecError
from pyrunc.plan import options as flags
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.plan.mounts import Mounts
    from pyrunc.spec.types import Mount


def add(mounts: "Mounts", mount: "Mount", options: "flags.Options", where: str) -> None:
    """One mount of type ``cgroup`` (what the host has) or ``cgroup2``."""
    host = mounts.settings.host
    hierarchies = list(host.hierarchies) if host is not None else []
    v1 = [hierarchy for hierarchy in hierarchies if hierarchy.version == 1]
    if mount.type == "cgroup2" or not v1:
        _unified(mounts, mount, options, where, next((h for h in hierarchies if h.version == 2), None))
    else:
        _legacy(mounts, mount, options, where, v1)


def _unified(
    mounts: "Mounts", mount: "Mount", options: "flags.Options", where: str, hierarchy: "Hierarchy | None"
) -> None:
    """cgroup2: in a cgroup namespace its root is the container's cgroup; otherwise that directory is bound."""
    own = mounts.settings.cgroups.get(hierarchy.name) if hierarchy else None
    if "cgroup" in mounts.namespaces or own is None:
        mounts.filesystem("cgroup2", "cgroup", mount.destination, options, where)
        return
    _bind(mounts, own, mount.destination, options, where)


def _legacy(
    mounts: "Mounts", mount: "Mount", options: "flags.Options", where: str, hierarchies: "list[Hierarchy]"
) -> None:
    """v1: a tmpfs with a directory a hierarchy, and links for the controllers that share one."""
    top = mount.destination.rstrip("/")
    tmpfs = flags.Options(["nosuid", "noexec", "nodev", "mode=755"])
    mounts.filesystem("tmpfs", "tmpfs", top, tmpfs, where)
    for hierarchy in hierarchies:
        directory = hierarchy.mountpoint.rpartition("/")[2]
        target = f"{top}/{directory}"
        own = mounts.settings.cgroups.get(hierarchy.name)
        if "cgroup" in mounts.namespaces:
            data = ["none", hierarchy.name] if hierarchy.name.startswith("name=") else hierarchy.name.split(",")
            if data[0] == "none":
                data.append("xattr")
            inner = flags.Options(["nosuid", "noexec", "nodev", "relatime", *data])
            inner.set |= options.set
            mounts.filesystem("cgroup", "cgroup", target, inner, where)
        elif own is not None:
            _bind(mounts, own, target, options, where)
        for controller in hierarchy.name.split(","):
            if controller != directory and not hierarchy.name.startswith("name="):
                mounts.inside.append(Step("symlink", where, directory, f"{top}/{controller}"))
    if options.set & flags.RDONLY:
        mounts.inside.append(Step("mount-attributes", where, top, flags.RDONLY, 0, 0))


def _bind(mounts: "Mounts", directory: str, target: str, options: "flags.Options", where: str) -> None:
    """Opened by init, which was placed in it: the helper before it does not wait until the directory is made."""
    if not directory:
        raise SpecError(where, "cgroups are disabled")
    slot = mounts.tree(directory, False, where, mounts.inside)
    always = flags.NOSUID | flags.NODEV | flags.NOEXEC
    mounts.inside.append(Step("attach", where, slot, target, options.set | always, options.clear & ~always, 0, 0))
