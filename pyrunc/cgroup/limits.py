"""``linux.resources`` as writes: which value goes into which file of which hierarchy. Nothing is touched here.

v1 and v2 stand beside each other in one function a controller. Conversions are runc's
(github.com/opencontainers/cgroups), so that a container gets the same limits from either.
"""

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.host import Hierarchy, Host
    from pyrunc.spec.types import Resources

PLACE = "linux.resources"


class Write:
    """``value`` into ``file`` of the container's directory in ``hierarchy``, for the property at ``where``.

    ``optional``: a kernel without the file has no such limit either.
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
    """The writes in the order that the kernel takes; SpecError when a controller is asked for that the host has not."""
    if resources is None:
        return []
    writer = Writer(host)
    writer.memory(resources)
    writer.cpu(resources)
    writer.cpuset(resources)
    writer.pids(resources)
    writer.block_io(resources)
    writer.hugetlb(resources)
    writer.network(resources)
    writer.rdma(resources)
    writer.unified(resources)
    return writer.writes


def shares_to_weight(shares: int) -> int:
    """cpu.shares (2 to 262144, default 1024) as cpu.weight (1 to 10000, default 100), as runc 1.4 and crun 1.23 do.

    Not the older straight line, which gave the default of 1024 shares a weight of 39.
    """
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    x = log2(shares)
    return ceil(10 ** ((x * x + 125 * x) / 612.0 - 7.0 / 34.0))


def unlimited(value: int) -> "int | str":
    """v2 writes ``max`` where v1 and the spec have -1."""
    return "max" if value == -1 else value


class Writer:
    """Collects the writes of one resources object."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.writes: list[Write] = []

    def need(self, controller: str, where: str) -> "Hierarchy":
        """The hierarchy of ``controller``."""
        hierarchy = self.host.of(controller)
        if hierarchy is None:
            raise SpecError(f"{PLACE}.{where}", f"the host has no cgroup controller {controller}")
        return hierarchy

    def add(
        self, controller: str, where: str, v1: str, value1: "int | str", v2: str = "", value2: "int | str" = ""
    ) -> None:
        """One property; SpecError when the version of cgroups that has ``controller`` has no file for it."""
        hierarchy = self.need(controller, where)
        file, value = (v1, value1) if hierarchy.version == 1 else (v2, value2 if value2 != "" else value1)
        if not file:
            raise SpecError(f"{PLACE}.{where}", f"the controller {controller} of cgroup v2 has nothing for it")
        self.writes.append(Write(hierarchy.name, file, value, where))

    def memory(self, resources: "Resources") -> None:
        memory = resources.memory
        if memory is None:
            return
        limit, swap = memory.limit or 0, memory.swap or 0
        if swap:
            if 0 < swap < limit:
                raise SpecError(f"{PLACE}.memory.swap", f"{swap} is memory and swap together, and below limit, {limit}")
            value = _swap(limit, swap) if self.need("memory", "memory.swap").version == 2 else swap
            self.add("memory", "memory.swap", "memory.memsw.limit_in_bytes", swap, "memory.swap.max", value)
            # Without swap accounting there is nothing to be lifted, and nothing to be used.
            self.writes[-1].optional = value in ("max", 0, -1)
        elif limit == -1:
            # As runc: a lifted limit lifts swap too, or the kernel would refuse a limit above memsw.
            self.add("memory", "memory.limit", "memory.memsw.limit_in_bytes", -1, "memory.swap.max", "max")
            self.writes[-1].optional = True
        if limit:
            self.add("memory", "memory.limit", "memory.limit_in_bytes", limit, "memory.max", unlimited(limit))
        if memory.reservation:
            value = memory.reservation
            self.add(
                "memory", "memory.reservation", "memory.soft_limit_in_bytes", value, "memory.low", unlimited(value)
            )
        if memory.kernel_tcp:
            self.add("memory", "memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp)
        if memory.swappiness is not None:
            if memory.swappiness > 100:
                raise SpecError(f"{PLACE}.memory.swappiness", f"{memory.swappiness} is not between 0 and 100")
            self.add("memory", "memory.swappiness", "memory.swappiness", memory.swappiness)
        if memory.disable_oom_killer:
            self.add("memory", "memory.disableOOMKiller", "memory.oom_control", 1)
        if memory.kernel:
            self.need("memory", "memory.kernel")  # of no effect since Linux 5.16; accepted as runc does

    def cpu(self, resources: "Resources") -> None:
        cpu = resources.cpu
        if cpu is None:
            return
        if cpu.shares:
            self.add("cpu", "cpu.shares", "cpu.shares", cpu.shares, "cpu.weight", shares_to_weight(cpu.shares))
        if cpu.idle is not None:
            self.add("cpu", "cpu.idle", "cpu.idle", cpu.idle, "cpu.idle")
        if cpu.realtime_period:
            self.add("cpu", "cpu.realtimePeriod", "cpu.rt_period_us", cpu.realtime_period)
        if cpu.realtime_runtime:
            self.add("cpu", "cpu.realtimeRuntime", "cpu.rt_runtime_us", cpu.realtime_runtime)
        if not (cpu.period or cpu.quota or cpu.burst is not None):
            return
        place = "cpu.quota" if cpu.quota else "cpu.period" if cpu.period else "cpu.burst"
        if self.need("cpu", place).version == 2:
            if cpu.quota or cpu.period:
                quota = "max" if not cpu.quota or cpu.quota < 0 else cpu.quota
                self.add("cpu", place, "", "", "cpu.max", f"{quota} {cpu.period or 100000}")
            if cpu.burst is not None:
                self.add("cpu", "cpu.burst", "", "", "cpu.max.burst", cpu.burst)
            return
        for value, where, file in (
            (cpu.period, "cpu.period", "cpu.cfs_period_us"),
            (cpu.quota, "cpu.quota", "cpu.cfs_quota_us"),
            (cpu.burst, "cpu.burst", "cpu.cfs_burst_us"),
        ):
            if value or (file == "cpu.cfs_burst_us" and value is not None):
                self.add("cpu", where, file, value)

    def cpuset(self, resources: "Resources") -> None:
        cpu = resources.cpu
        if cpu is not None and cpu.cpus:
            self.add("cpuset", "cpu.cpus", "cpuset.cpus", cpu.cpus, "cpuset.cpus")
        if cpu is not None and cpu.mems:
            self.add("cpuset", "cpu.mems", "cpuset.mems", cpu.mems, "cpuset.mems")

    def pids(self, resources: "Resources") -> None:
        pids = resources.pids
        if pids is not None and pids.limit:
            self.add("pids", "pids.limit", "pids.max", "max" if pids.limit < 0 else pids.limit, "pids.max")

    def block_io(self, resources: "Resources") -> None:
        block = resources.block_io
        if block is None:
            return
        if block.weight:
            self._weight("blockIO.weight", block.weight)
        if block.leaf_weight:
            self.add(_blkio(self.host), "blockIO.leafWeight", "blkio.leaf_weight", block.leaf_weight)
        for index, device in enumerate(block.weight_device):
            where, number = f"blockIO.weightDevice[{index}]", f"{device.major}:{device.minor}"
            if device.weight:
                self._weight(where, device.weight, f"{number} ")
            if device.leaf_weight:
                self.add(_blkio(self.host), where, "blkio.leaf_weight_device", f"{number} {device.leaf_weight}")
        for name, attribute, v1, v2 in (
            ("throttleReadBpsDevice", "throttle_read_bps_device", "read_bps", "rbps"),
            ("throttleWriteBpsDevice", "throttle_write_bps_device", "write_bps", "wbps"),
            ("throttleReadIOPSDevice", "throttle_read_iops_device", "read_iops", "riops"),
            ("throttleWriteIOPSDevice", "throttle_write_iops_device", "write_iops", "wiops"),
        ):
            for index, device in enumerate(getattr(block, attribute)):
                where, number = f"blockIO.{name}[{index}]", f"{device.major}:{device.minor}"
                rate = f"{number} {v2}={device.rate or 'max'}"
                self.add(
                    _blkio(self.host), where, f"blkio.throttle.{v1}_device", f"{number} {device.rate}", "io.max", rate
                )

    def _weight(self, where: str, weight: int, device: str = "") -> None:
        """v1 10 to 1000 is v2's 1 to 10000; the BFQ scheduler has files of its own where it is loaded."""
        controller = _blkio(self.host)
        hierarchy = self.need(controller, where)
        suffix = "_device" if device else ""
        if hierarchy.version == 2:
            self.add(controller, where, "", "", "io.weight", f"{device or 'default '}{1 + (weight - 10) * 9999 // 990}")
            return
        for file in (f"blkio.weight{suffix}", f"blkio.bfq.weight{suffix}"):
            if hierarchy.knows(file):
                self.add(controller, where, file, f"{device}{weight}")
                return
        raise SpecError(f"{PLACE}.{where}", "the host's kernel has no blkio.weight (neither CFQ nor BFQ)")

    def hugetlb(self, resources: "Resources") -> None:
        for index, limit in enumerate(resources.hugepage_limits):
            where, size = f"hugepageLimits[{index}]", limit.page_size
            hierarchy = self.need("hugetlb", where)
            v1, v2 = f"hugetlb.{size}.limit_in_bytes", f"hugetlb.{size}.max"
            self.add("hugetlb", where, v1, limit.limit, v2)
            # Also reserved pages, or an mmap that is not yet touched would go past the limit (Linux 5.7).
            reserved1, reserved2 = f"hugetlb.{size}.rsvd.limit_in_bytes", f"hugetlb.{size}.rsvd.max"
            if hierarchy.version == 2 or hierarchy.knows(reserved1):
                self.add("hugetlb", where, reserved1, limit.limit, reserved2)

    def network(self, resources: "Resources") -> None:
        network = resources.network
        if network is None:
            return
        if network.class_id is not None:
            self.add("net_cls", "network.classID", "net_cls.classid", network.class_id)
        for index, priority in enumerate(network.priorities):
            where = f"network.priorities[{index}]"
            self.add("net_prio", where, "net_prio.ifpriomap", f"{priority.name} {priority.priority}")

    def rdma(self, resources: "Resources") -> None:
        for device, limit in resources.rdma.items():
            parts = [device]
            parts += [f"hca_handle={limit.hca_handles}"] if limit.hca_handles is not None else []
            parts += [f"hca_object={limit.hca_objects}"] if limit.hca_objects is not None else []
            self.add("rdma", f"rdma.{device}", "rdma.max", " ".join(parts), "rdma.max")

    def unified(self, resources: "Resources") -> None:
        for file, value in resources.unified.items():
            where = f"unified.{file}"
            hierarchy = self.host.unified
            if hierarchy is None:
                raise SpecError(f"{PLACE}.{where}", "the host has no cgroup v2")
            if "/" in file or file in ("", ".", ".."):
                raise SpecError(f"{PLACE}.{where}", "not the name of a file of a cgroup")
            controller = file.partition(".")[0]
            if controller != "cgroup" and controller not in hierarchy.controllers:
                raise SpecError(f"{PLACE}.{where}", f"the host has no cgroup controller {controller} on v2")
            for line in value.splitlines() or [""]:
                self.writes.append(Write(hierarchy.name, file, line, where))


def _blkio(host: "Host") -> str:
    """The controller's name on v1, or on v2 where that is what there is."""
    return "io" if host.of("blkio") is None and host.of("io") is not None else "blkio"


def _swap(limit: int, swap: int) -> "int | str":
    """v2's swap alone, of the spec's memory and swap together."""
    if swap == -1:
        return "max"
    if limit <= 0:
        raise SpecError(f"{PLACE}.memory.swap", "needs memory.limit: cgroup v2 limits swap alone")
    return swap - limit
