"""rdma (cgroup-v1/rdma.rst; cgroup-v2.rst "RDMA"). The file is the same on v1 and v2."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    for device, limit in resources.rdma.items():
        parts = [device]
        parts += [f"hca_handle={limit.hca_handles}"] if limit.hca_handles is not None else []
        parts += [f"hca_object={limit.hca_objects}"] if limit.hca_objects is not None else []
        yield "rdma.max", " ".join(parts), f"rdma.{device}", False
