"""net_prio (cgroup-v1/net_prio.rst)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    assert resources.network is not None
    for index, priority in enumerate(resources.network.priorities):
        yield "net_prio.ifpriomap", f"{priority.name} {priority.priority}", f"network.priorities[{index}]", False
