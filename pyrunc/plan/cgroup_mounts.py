"""Compiles mounts of type cgroup: the container's cgroup in each hierarchy of the host."""

from pyrunc.errors import SpecError
from pyrunc.plan import mount_options
from pyrunc.plan.mount_list import destination
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.plan.mount_list import Mounts
    from pyrunc.spec.types import Mount


def add(mounts: "Mounts", mount: "Mount", options: "mount_options.Options", where: str) -> None:
    """Adds a mount of type ``cgroup`` (the host's version) or ``cgroup2``."""
    host = mounts.facts.host
    hierarchies = list(host.hierarchies) if host is not None else []
    v1 = [hierarchy for hierarchy in hierarchies if hierarchy.version == 1]
    if mount.type == "cgroup2" or not v1:
        _unified(mounts, mount, options, where, next((h for h in hierarchies if h.version == 2), None))
    else:
        _legacy(mounts, mount, options, where, v1)


def _unified(
    mounts: "Mounts", mount: "Mount", options: "mount_options.Options", where: str, hierarchy: "Hierarchy | None"
) -> None:
    """Adds a cgroup2 mount: a new mount in a cgroup namespace, whose root is the container's cgroup; otherwise a bind
    mount of that directory."""
    own = mounts.facts.cgroups.get(hierarchy.name) if hierarchy else None
    if "cgroup" in mounts.namespaces or own is None:
        mounts.filesystem("cgroup2", "cgroup", destination(mount.destination), options, where)
        mounts.propagate(options, destination(mount.destination), where)
        return
    _bind(mounts, own, destination(mount.destination), options, where)
    mounts.propagate(options, destination(mount.destination), where)


def _legacy(
    mounts: "Mounts", mount: "Mount", options: "mount_options.Options", where: str, hierarchies: "list[Hierarchy]"
) -> None:
    """Adds the v1 mounts: a tmpfs with a directory for each hierarchy, and links for controllers that share one."""
    top = destination(mount.destination)
    tmpfs = mount_options.Options(["nosuid", "noexec", "nodev", "mode=755"])
    mounts.filesystem("tmpfs", "tmpfs", top, tmpfs, where)
    mounts.propagate(options, top, where)
    read_only = mounts.read_only_later(top, where) if options.set & mount_options.RDONLY else None
    for hierarchy in hierarchies:
        directory = hierarchy.mountpoint.rpartition("/")[2]
        target = f"{top}/{directory}"
        own = mounts.facts.cgroups.get(hierarchy.name)
        if "cgroup" in mounts.namespaces:
            data = ["none", hierarchy.name] if hierarchy.name.startswith("name=") else hierarchy.name.split(",")
            if data[0] == "none":
                data.append("xattr")
            inner = mount_options.Options(["nosuid", "noexec", "nodev", "relatime", *data])
            inner.set |= options.set
            mounts.filesystem("cgroup", "cgroup", target, inner, where)
        elif own is not None:
            _bind(mounts, own, target, options, where)
        for controller in hierarchy.name.split(","):
            if controller != directory and not hierarchy.name.startswith("name="):
                mounts.inside.append(Step("symlink", where, directory, f"{top}/{controller}"))
    if read_only is not None:
        mounts.inside.append(read_only)


def _bind(mounts: "Mounts", directory: str, target: str, options: "mount_options.Options", where: str) -> None:
    """Binds a cgroup directory. init opens it, after its placement: the helper before it does not wait until the
    directory is created."""
    if not directory:
        raise SpecError(where, "cgroups are disabled")
    slot = mounts.slots.new(where)
    mounts.open(mounts.inside, directory, False, slot, where)
    always = mount_options.NOSUID | mount_options.NODEV | mount_options.NOEXEC
    mounts.inside.append(Step("attach", where, slot, target, options.set | always, options.clear & ~always, 0, 0, 0, 0))
