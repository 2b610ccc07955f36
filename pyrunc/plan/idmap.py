"""Compiles id-mapped mounts (mount_setattr(2), Linux 5.12): the options idmap and ridmap, and a mount's own
mappings."""

from pyrunc.errors import SpecError
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.mount_list import Mounts
    from pyrunc.plan.mount_options import Options
    from pyrunc.spec.types import IdMapping, Mount


def add(mounts: "Mounts", mount: "Mount", options: "Options", slot: int, where: str) -> None:
    """Maps the tree in ``slot`` before it is attached. Uses the mount's own mappings, else the container's, else those
    of the user namespace that the container joins."""
    if not mounts.facts.privileged:
        raise SpecError(where, "an id-mapped mount needs privileges over the file system")
    linux = mounts.spec.linux
    users, groups = mount.uid_mappings or linux.uid_mappings, mount.gid_mappings or linux.gid_mappings
    if not users and not groups and "user" in mounts.namespaces.paths:
        space = mounts.namespaces.slots["user"]
    elif not users or not groups:
        missing = "uidMappings" if not users else "gidMappings"
        raise SpecError(f"{where}.{missing}", "an id-mapped mount needs mappings, its own or those of linux")
    else:
        space = mounts.slots.new(where)
        # Before the clone, because pids of a new pid namespace differ from those of the host's /proc.
        mounts.before.append(Step("user-namespace", where, lines(users), lines(groups), space))
    mounts.opening.append(Step("map-tree", where, slot, space, int(options.recursive_idmap)))


def lines(mappings: "Sequence[IdMapping]") -> "list[str]":
    """Formats mappings as the kernel reads them (user_namespaces(7))."""
    return [f"{m.container_id} {m.host_id} {m.size}" for m in mappings]
