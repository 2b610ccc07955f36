"""net_cls (cgroup-v1/net_cls.rst)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    assert resources.network is not None and resources.network.class_id is not None
    yield "net_cls.classid", resources.network.class_id, "network.classID", False
