"""``linux.resources`` as writes: which value goes into which file of which hierarchy. This module writes nothing.

Each controller has a module in v1/ and one in v2/; the hierarchy that has the controller decides which is used.
Conversions are runc's (github.com/opencontainers/cgroups), so that both runtimes set the same limits.
"""

from pyrunc.cgroup.entries import PLACE, ignored, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy, Host
    from pyrunc.spec.types import Resources


class Write:
    """One write: ``value`` into ``file`` of the container's cgroup in ``hierarchy``, for the property at ``where``.

    ``optional``: skip the write if the kernel does not have the file, because then it does not have the limit either.
    """

    __slots__ = ("file", "hierarchy", "optional", "value", "where")

    def __init__(self, hierarchy: str, file: str, value: "int | str", where: str, optional: bool = False) -> None:
        self.hierarchy = hierarchy
        self.file = file
        self.value = str(value)
        self.where = f"{PLACE}.{where}"
        self.optional = optional

    def __repr__(self) -> str:
        return f"Write({self.hierarchy!r}, {self.file!r}, {self.value!r}, {self.where!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Write) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]


def limits(host: "Host", resources: "Resources | None") -> "list[Write]":
    """Returns the writes in an order that the kernel accepts. SpecError if a property needs a controller that the host
    does not have."""
    if resources is None:
        return []
    writes: list[Write] = []
    for controller, hierarchy, entries in _asked(host, resources):
        for file, value, where, optional in entries:
            if hierarchy is None:
                raise refuse(where, f"the host has no cgroup controller {controller}")
            writes.append(Write(hierarchy.name, file, value, where, optional))
    return writes


def _asked(host: "Host", resources: "Resources") -> "Iterator[tuple[str, Hierarchy | None, Iterable[Entry]]]":
    """Yields (controller, its hierarchy, its entries). A controller's module is imported only if a property needs
    it."""
    cpu, network = resources.cpu, resources.network
    if resources.memory is not None:
        yield _of(host, "memory", resources)
    if cpu is not None:
        yield _of(host, "cpu", resources)
        if cpu.cpus or cpu.mems:
            yield _of(host, "cpuset", resources)
    if resources.pids is not None and resources.pids.limit is not None:
        yield _of(host, "pids", resources)
    if resources.block_io is not None:
        yield _of(host, "io" if host.of("blkio") is None and host.of("io") is not None else "blkio", resources)
    if resources.hugepage_limits:
        yield _of(host, "hugetlb", resources)
    if network is not None and network.class_id:  # 0 is the kernel's default
        yield _of(host, "net_cls", resources)
    if network is not None and network.priorities:
        yield _of(host, "net_prio", resources)
    if resources.rdma:
        yield _of(host, "rdma", resources)
    if resources.unified:
        from pyrunc.cgroup.v2 import unified

        yield "", host.unified, unified.limits(resources, host.unified)


def _of(host: "Host", controller: str, resources: "Resources") -> "tuple[str, Hierarchy | None, Iterable[Entry]]":
    hierarchy = host.of(controller)
    if hierarchy is None and host.mode == "unified" and controller in ("net_cls", "net_prio"):
        ignored((f"network.{'classID' if controller == 'net_cls' else 'priorities'}", True))
        return controller, None, ()
    version = hierarchy.version if hierarchy is not None else 2 if host.mode == "unified" else 1
    module = __import__(f"pyrunc.cgroup.v{version}.{controller}", fromlist=["limits"])
    return controller, hierarchy, module.limits(resources, hierarchy)
