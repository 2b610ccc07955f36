"""Compiles the mounts of the config in their order: bind mounts, file systems, cgroups, and the root itself."""

from pyrunc.errors import SpecError
from pyrunc.plan import mount_options
from pyrunc.plan.mount_list import absolute, destination
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.mount_list import Mounts
    from pyrunc.spec.types import Mount


def root(mounts: "Mounts", path: str) -> None:
    """Adds the steps for the root. Everything else is attached below it."""
    propagation = mounts.propagation
    if propagation & mount_options.MS_UNBINDABLE:  # set only at the end, when nothing has to be bound any more
        propagation = mount_options.MS_PRIVATE | mount_options.MS_REC
    # The first step: what is unbindable on the host can be bound afterwards.
    mounts.inside.append(Step("propagation", "linux.rootfsPropagation", propagation))
    slot = mounts.tree(path, True, "root.path")
    mounts.inside.append(Step("root", "root.path", path, slot, mount_options.NOEXEC))


def host_root(mounts: "Mounts", path: str) -> None:
    """Adds the root of a container without its own mount namespace: mounted over the root's own directory, as with runc
    and crun. resources/host_root.py removes it."""
    slot = mounts.tree(path, True, "root.path")
    mounts.inside.append(Step("host-root", "root.path", path, slot, mount_options.NOEXEC))


def add(mounts: "Mounts", index: int, mount: "Mount") -> None:
    """Adds the steps of one entry of ``mounts``."""
    where = f"mounts[{index}]"
    options = mount_options.Options(mount.options, f"{where}.options")
    if options.remount:
        _remount(mounts, mount, options, where)
    elif options.bind or mount.type == "bind":
        _bind(mounts, mount, options, where)
    elif mount.type in ("cgroup", "cgroup2"):
        from pyrunc.plan import cgroup_mounts

        cgroup_mounts.add(mounts, mount, options, where)
        return
    elif not mount.type:
        raise SpecError(f"{where}.type", "required for a mount that is not a bind")
    else:
        mounts.filesystem(mount.type, mount.source, destination(mount.destination), options, where)
    mounts.propagate(options, destination(mount.destination), where)


def _remount(mounts: "Mounts", mount: "Mount", options: "mount_options.Options", where: str) -> None:
    """Changes attributes of the mount and, unless it is `remount,bind`, options of its file system."""
    data = [] if options.bind else options.data
    if options.bind and options.data:
        raise SpecError(f"{where}.options", f"a bind mount has no filesystem of its own to take {options.data[0]!r}")
    target = destination(mount.destination)
    mounts.inside.append(Step("remount", where, target, data, options.set, options.clear, int(options.recursive)))


def _bind(mounts: "Mounts", mount: "Mount", options: "mount_options.Options", where: str) -> None:
    if not mount.source:
        raise SpecError(f"{where}.source", "required for a bind mount")
    if options.data:
        raise SpecError(f"{where}.options", f"a bind mount has no filesystem of its own to take {options.data[0]!r}")
    mapped = bool(options.idmap or mount.uid_mappings or mount.gid_mappings)
    source = absolute(mount.source, mounts.facts.options.bundle)
    slot = mounts.tree(source, options.recursive, f"{where}.source", not mapped)
    if mapped:
        from pyrunc.plan import idmap

        idmap.add(mounts, mount, options, slot, where)
    set_, clear = options.set, options.clear
    if set_ & mount_options.NODIRATIME:
        clear |= mount_options.ATIME_MASK  # an atime flag is requested: the others get their defaults
    unmentioned = mount_options.UNMENTIONED & ~set_ & ~clear if options.mentioned else 0
    locked = int("user" in mounts.namespaces)
    recursive = (options.recursive_set, options.recursive_clear)
    target = destination(mount.destination)
    mounts.inside.append(Step("attach", where, slot, target, set_, clear, unmentioned, locked, *recursive))
