"""Statistics of a container's cgroups, with the keys of `runc events --stats`: bytes, nanoseconds, counts."""

import posix

from pyrunc.cgroup.host import UNIFIED
from pyrunc.container.process import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = (1 << 64) - 1
TICK = 1_000_000_000 // posix.sysconf("SC_CLK_TCK")
"""Nanoseconds of one tick of v1's cpuacct.stat."""
BLKIO = {
    # runc's key: file of v1
    "ioServiceBytesRecursive": "blkio.throttle.io_service_bytes_recursive",
    "ioServicedRecursive": "blkio.throttle.io_serviced_recursive",
    "ioQueueRecursive": "blkio.io_queued_recursive",
    "ioServiceTimeRecursive": "blkio.io_service_time_recursive",
    "ioWaitTimeRecursive": "blkio.io_wait_time_recursive",
    "ioMergedRecursive": "blkio.io_merged_recursive",
    "ioTimeRecursive": "blkio.time_recursive",
    "sectorsRecursive": "blkio.sectors_recursive",
}


class Files:
    """The files of one cgroup; what is not there is empty or zero."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def text(self, name: str) -> str:
        try:
            return read(f"{self.directory}/{name}").decode()
        except OSError:
            return ""

    def number(self, name: str) -> int:
        """One number; ``max`` is the largest."""
        value = self.text(name).strip()
        return UNLIMITED if value == "max" else int(value) if value.lstrip("-").isdigit() else 0

    def table(self, name: str) -> "dict[str, int]":
        """Lines of a key and a number."""
        rows = (line.split() for line in self.text(name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def stats(dirs: "dict[str, str]") -> "dict[str, Any]":
    """The ``data`` of a ``stats`` event."""
    found: dict[str, Any] = {"cpu": {}, "cpuset": {}, "memory": {}, "pids": {}, "blkio": {}, "hugetlb": {}}
    by_controller = {controller: directory for name, directory in dirs.items() for controller in name.split(",")}
    if "memory" in by_controller:
        found["memory"] = _memory_v1(Files(by_controller["memory"]))
    if "cpuacct" in by_controller:
        found["cpu"]["usage"] = _cpu_v1(Files(by_controller["cpuacct"]))
    if "cpuset" in by_controller:
        found["cpuset"] = _cpuset(Files(by_controller["cpuset"]))
    if "cpu" in by_controller:
        found["cpu"]["throttling"] = _throttling(Files(by_controller["cpu"]).table("cpu.stat"), "throttled_time", 1)
    if "pids" in by_controller:
        found["pids"] = _pids(Files(by_controller["pids"]))
    if "blkio" in by_controller:
        files = Files(by_controller["blkio"])
        found["blkio"] = {key: _blkio(files.text(name)) for key, name in BLKIO.items()}
    if "hugetlb" in by_controller:
        found["hugetlb"] = _hugetlb(by_controller["hugetlb"], "limit_in_bytes", "usage_in_bytes")
    if UNIFIED in by_controller:
        _unified(Files(by_controller[UNIFIED]), found)
    return found


def _memory_v1(files: Files) -> "dict[str, Any]":
    def entry(prefix: str) -> "dict[str, int]":
        return {
            "limit": files.number(f"{prefix}.limit_in_bytes"),
            "usage": files.number(f"{prefix}.usage_in_bytes"),
            "max": files.number(f"{prefix}.max_usage_in_bytes"),
            "failcnt": files.number(f"{prefix}.failcnt"),
        }

    raw = files.table("memory.stat")
    return {
        "cache": raw.get("cache", 0),
        "usage": entry("memory"),
        "swap": entry("memory.memsw"),
        "kernel": entry("memory.kmem"),
        "kernelTCP": entry("memory.kmem.tcp"),
        "raw": raw,
    }


def _cpu_v1(files: Files) -> "dict[str, Any]":
    ticks = files.table("cpuacct.stat")
    each = [line.split() for line in files.text("cpuacct.usage_all").splitlines()[1:]]  # cpu user system
    return {
        "total": files.number("cpuacct.usage"),
        "percpu": [int(value) for value in files.text("cpuacct.usage_percpu").split()],
        "percpu_kernel": [int(row[2]) for row in each],
        "percpu_user": [int(row[1]) for row in each],
        "kernel": ticks.get("system", 0) * TICK,
        "user": ticks.get("user", 0) * TICK,
    }


def _cpuset(files: Files) -> "dict[str, Any]":
    """cpuset(7); lists of CPUs and of memory nodes are written out."""
    names = ("cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page")
    more = ("memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level")
    found: dict[str, Any] = {name: _numbers(files.text(f"cpuset.{name}")) for name in ("cpus", "mems")}
    found.update({name: files.number(f"cpuset.{name}") for name in (*names, *more)})
    return found


def _numbers(ranges: str) -> "list[int]":
    """``0-2,5`` as 0, 1, 2, 5."""
    numbers: list[int] = []
    for part in filter(None, ranges.strip().split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _throttling(table: "dict[str, int]", key: str, unit: int) -> "dict[str, int]":
    return {
        "periods": table.get("nr_periods", 0),
        "throttledPeriods": table.get("nr_throttled", 0),
        "throttledTime": table.get(key, 0) * unit,
    }


def _pids(files: Files) -> "dict[str, int]":
    limit = files.number("pids.max")
    return {"current": files.number("pids.current"), "limit": 0 if limit == UNLIMITED else limit}


def _blkio(text: str) -> "list[dict[str, Any]]":
    """``8:0 Read 4096``, or ``8:0 4096`` where there is no operation; the total at the end is left out."""
    entries = []
    for line in text.splitlines():
        device, *rest = line.split()
        if ":" in device and rest[-1].isdigit():
            major, _, minor = device.partition(":")
            operation = rest[0] if len(rest) == 2 else ""
            entries.append({"major": int(major), "minor": int(minor), "op": operation, "value": int(rest[-1])})
    return entries


def _hugetlb(directory: str, limit: str, usage: str) -> "dict[str, Any]":
    files = Files(directory)
    sizes = {name.split(".")[1] for name in posix.listdir(directory) if name.startswith("hugetlb.")}
    return {
        size: {
            "usage": files.number(f"hugetlb.{size}.{usage}"),
            "max": files.number(f"hugetlb.{size}.max_usage_in_bytes"),
            "failcnt": files.number(f"hugetlb.{size}.failcnt"),
        }
        for size in sorted(sizes)
    }


def _unified(files: Files, found: "dict[str, Any]") -> None:
    """v2; on a hybrid host only what v1 has not given."""
    controllers = files.text("cgroup.controllers").split()
    if "memory" in controllers:
        raw = files.table("memory.stat")
        usage, swap = files.number("memory.current"), files.number("memory.swap.current")
        limit, swap_limit = files.number("memory.max"), files.number("memory.swap.max")
        events = files.table("memory.events")
        found["memory"] = {
            "cache": raw.get("file", 0),
            "usage": {
                "limit": limit,
                "usage": usage,
                "max": files.number("memory.peak"),
                "failcnt": events.get("max", 0),
            },
            "swap": {"limit": min(limit + swap_limit, UNLIMITED), "usage": usage + swap},
            "raw": raw,
        }
    cpu = files.table("cpu.stat")
    if cpu and "usage" not in found["cpu"]:
        found["cpu"]["usage"] = {
            "total": cpu.get("usage_usec", 0) * 1000,
            "user": cpu.get("user_usec", 0) * 1000,
            "kernel": cpu.get("system_usec", 0) * 1000,
        }
        found["cpu"]["throttling"] = _throttling(cpu, "throttled_usec", 1000)
    if "pids" in controllers:
        found["pids"] = _pids(files)
    if "io" in controllers:
        found["blkio"] = _io(files.text("io.stat"))
    if "hugetlb" in controllers:
        found["hugetlb"] = _hugetlb(files.directory, "max", "current")
    for key, name in (("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("blkio", "io.pressure")):
        pressure = _pressure(files.text(name))
        if pressure:
            found[key]["psi"] = pressure


def _io(text: str) -> "dict[str, Any]":
    bytes_: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        for pair in pairs:
            key, _, value = pair.partition("=")
            kind = {"rbytes": ("Read", bytes_), "wbytes": ("Write", bytes_), "rios": ("Read", counts)}
            kind["wios"] = ("Write", counts)
            if key in kind:
                operation, entries = kind[key]
                entries.append({"major": int(major), "minor": int(minor), "op": operation, "value": int(value)})
    return {"ioServiceBytesRecursive": bytes_, "ioServicedRecursive": counts}


def _pressure(text: str) -> "dict[str, Any]":
    """Pressure stall information: averages in percent, total in microseconds."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        found[kind] = {key: int(value) if key == "total" else float(value) for key, value in values.items()}
    return found
