"""``linux.resources`` as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)).

pyrunc passes every limit to systemd that has a property. A limit that is only written into a file is lost at the next
``systemctl daemon-reload`` or change of any property. Conversions are those of v1/ and v2/; names and rounding are
runc's (github.com/opencontainers/cgroups, systemd/). If systemd is too old for a property, the property is left out and
the limit is only written into the file. This module has no side effects.
"""

from pyrunc.cgroup.systemd.values import INFINITY, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pyrunc.cgroup.systemd.values import Property
    from pyrunc.spec.resources import BlockIo, Cpu, Memory
    from pyrunc.spec.types import Resources

QUOTA_PERIOD, CPUSET, CPU_IDLE, SCOPE_OOM_POLICY, ZSWAP = 242, 244, 252, 253, 253
"""The first versions of systemd with CPUQuotaPeriodUSec, AllowedCPUs, CPUWeight=idle, OOMPolicy= of scopes, and
MemoryZSwapMax."""
DEFAULT_PERIOD = 100000
STEP = 10000
"""Microseconds per second. systemd stores a quota in whole percents of a CPU, rounded down."""
BANDWIDTH = {"rbps": "IOReadBandwidthMax", "wbps": "IOWriteBandwidthMax", "riops": "IOReadIOPSMax"}
BANDWIDTH["wiops"] = "IOWriteIOPSMax"
ACCOUNTING = ("MemoryAccounting", "CPUAccounting", "TasksAccounting")


def scope(unit: str, unified: bool) -> "list[str]":
    """Returns the properties that every unit of pyrunc's has, regardless of its limits; encoded."""
    found: list[Property] = [("Description", "s", f"pyrunc container {unit}"), ("DefaultDependencies", "b", False)]
    if not unit.endswith(".slice"):
        # Otherwise systemd keeps a unit that has failed, for example by RuntimeMaxSec=, until ResetFailedUnit.
        found += [("Delegate", "b", True), ("CollectMode", "s", "inactive-or-failed")]
    names = (*ACCOUNTING, "IOAccounting" if unified else "BlockIOAccounting")
    return encode([*found, *((name, "b", True) for name in names)])


def properties(resources: "Resources | None", unified: bool, version: int) -> "list[str]":
    """Returns the limits, without the device rules (devices.py), as ``NAME=SIGNATURE:VALUE`` (values.py). ``unified``:
    whether the host has only cgroup v2. ``version``: systemd's."""
    if resources is None:
        return []
    found: dict[str, Property] = {}
    for item in _sections(resources, unified, version):
        found[item[0]] = item  # properties from `unified` come last and override the others
    return encode(found.values())


def _sections(resources: "Resources", unified: bool, version: int) -> "Iterator[Property]":
    if resources.memory is not None:
        yield from _memory(resources.memory, unified)
    if resources.cpu is not None:
        yield from _cpu(resources.cpu, unified, version)
    if resources.pids is not None and resources.pids.limit is not None:
        yield "TasksMax", "t", tasks(resources.pids.limit)
    if resources.block_io is not None:
        yield from _block_io(resources.block_io, unified)
    if unified:
        yield from _unified(resources.unified, version)


def tasks(limit: int) -> int:
    """Returns the value of TasksMax. 0 is a limit (runtime-spec 1.3), but systemd refuses it: it becomes 1, as in
    runc."""
    return INFINITY if limit < 0 else max(limit, 1)


def bytes_of(limit: int) -> int:
    return INFINITY if limit < 0 else limit


def _memory(memory: "Memory", unified: bool) -> "Iterator[Property]":
    if memory.limit:
        yield "MemoryMax" if unified else "MemoryLimit", "t", bytes_of(memory.limit)
    if not unified:
        return
    if memory.reservation:
        yield "MemoryLow", "t", bytes_of(memory.reservation)
    from pyrunc.cgroup.v2.memory import swap_of

    swap = swap_of(memory.limit or 0, memory.swap or 0)
    if swap is not None:
        yield "MemorySwapMax", "t", bytes_of(swap)


def _cpu(cpu: "Cpu", unified: bool, version: int) -> "Iterator[Property]":
    from pyrunc.cgroup.v2.cpu import shares_to_weight

    if cpu.shares:
        yield ("CPUWeight", "t", shares_to_weight(cpu.shares)) if unified else ("CPUShares", "t", cpu.shares)
    if cpu.idle is not None and unified and version >= CPU_IDLE and (cpu.idle or not cpu.shares):
        yield "CPUWeight", "t", 0 if cpu.idle else INFINITY
    if cpu.period and version >= QUOTA_PERIOD:
        yield "CPUQuotaPeriodUSec", "t", cpu.period
    if cpu.quota or cpu.period:
        yield "CPUQuotaPerSecUSec", "t", per_second(cpu.quota or 0, cpu.period or DEFAULT_PERIOD)
    if unified and version >= CPUSET:
        if cpu.cpus:
            yield "AllowedCPUs", "ay", mask(cpu.cpus)
        if cpu.mems:
            yield "AllowedMemoryNodes", "ay", mask(cpu.mems)


def per_second(quota: int, period: int) -> int:
    """Returns microseconds of CPU time per second, rounded up to systemd's steps. INFINITY without a quota."""
    return INFINITY if quota <= 0 else -(-quota * 1000000 // period // STEP) * STEP


def mask(ranges: str) -> "list[int]":
    """Converts a list of CPUs or nodes (cpuset(7), "List format") to a bit mask, lowest byte first."""
    bits = 0
    for part in ranges.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit() and int(last or first) < 1 << 13:
            bits |= ((1 << int(last or first) + 1) - 1) & ~((1 << int(first)) - 1)
    return list(bits.to_bytes((bits.bit_length() + 7) // 8, "little"))


def _block_io(block: "BlockIo", unified: bool) -> "Iterator[Property]":
    from pyrunc.cgroup.v2.io import weight_of

    if block.weight:
        yield ("IOWeight", "t", weight_of(block.weight)) if unified else ("BlockIOWeight", "t", block.weight)
    weights = [[_node(d), weight_of(d.weight) if unified else d.weight] for d in block.weight_device if d.weight]
    if weights:
        yield "IODeviceWeight" if unified else "BlockIODeviceWeight", "a(st)", weights
    for key, devices in (
        ("rbps", block.throttle_read_bps_device),
        ("wbps", block.throttle_write_bps_device),
        ("riops", block.throttle_read_iops_device),
        ("wiops", block.throttle_write_iops_device),
    ):
        limits = [[_node(device), device.rate or INFINITY] for device in devices]
        name = BANDWIDTH[key] if unified else BANDWIDTH[key].replace("IO", "BlockIO", 1)
        if limits and (unified or key.endswith("bps")):  # for v1 systemd has only bandwidths
            yield name.removesuffix("Max") if not unified else name, "a(st)", limits


def _node(device: "Any") -> str:
    """Returns the device in a form that systemd accepts without looking for a device node."""
    return f"/dev/block/{device.major}:{device.minor}"


def _unified(files: "dict[str, str]", version: int) -> "Iterator[Property]":
    for file, name in (
        ("memory.max", "MemoryMax"),
        ("memory.high", "MemoryHigh"),
        ("memory.low", "MemoryLow"),
        ("memory.min", "MemoryMin"),
        ("memory.swap.max", "MemorySwapMax"),
        ("pids.max", "TasksMax"),
        *((("memory.zswap.max", "MemoryZSwapMax"),) if version >= ZSWAP else ()),
    ):
        number = _number(files.get(file, ""))
        if number is not None:
            yield name, "t", number
    yield from _unified_cpu(files, version)
    yield from _unified_io(files)
    # Only 1 has an equivalent: OOMPolicy=continue and OOMPolicy=stop mean more than memory.oom.group = 0.
    if files.get("memory.oom.group", "").strip() == "1" and version >= SCOPE_OOM_POLICY:
        yield "OOMPolicy", "s", "kill"


def _unified_cpu(files: "dict[str, str]", version: int) -> "Iterator[Property]":
    weight = _number(files.get("cpu.weight", ""))
    if weight is not None:
        yield "CPUWeight", "t", weight
    if files.get("cpu.idle", "").strip() == "1" and version >= CPU_IDLE:
        yield "CPUWeight", "t", 0
    words = files.get("cpu.max", "").split()
    if words:
        quota, period = _number(words[0]), _number(words[1]) if len(words) > 1 else DEFAULT_PERIOD
        if quota is not None and period:
            if version >= QUOTA_PERIOD:
                yield "CPUQuotaPeriodUSec", "t", period
            yield "CPUQuotaPerSecUSec", "t", per_second(0 if quota == INFINITY else quota, period)
    for file, name in (("cpuset.cpus", "AllowedCPUs"), ("cpuset.mems", "AllowedMemoryNodes")):
        if files.get(file, "").strip() and version >= CPUSET:
            yield name, "ay", mask(files[file].strip())


def _unified_io(files: "dict[str, str]") -> "Iterator[Property]":
    devices: list[list[Any]] = []
    for line in _lines(files, "io.weight"):
        device, _, value = line.rpartition(" ")
        weight = _number(value)
        if weight is not None and device in ("", "default"):
            yield "IOWeight", "t", weight
        elif weight is not None:
            devices.append([f"/dev/block/{device}", weight])
    if devices:
        yield "IODeviceWeight", "a(st)", devices
    limits: dict[str, list[list[Any]]] = {}
    for line in _lines(files, "io.max"):
        device, *pairs = line.split()
        for key, value in (pair.partition("=")[::2] for pair in pairs):
            number = _number(value)
            if key in BANDWIDTH and number is not None:
                limits.setdefault(BANDWIDTH[key], []).append([f"/dev/block/{device}", number])
    for name, held in limits.items():
        yield name, "a(st)", held


def _lines(files: "dict[str, str]", file: str) -> "Sequence[str]":
    return [line.strip() for line in files.get(file, "").split("\n") if line.strip()]


def _number(text: str) -> "int | None":
    text = text.strip()
    return INFINITY if text == "max" else int(text) if text.isascii() and text.isdigit() else None
