"""Converts a container's statistics to containerd's messages: io.containerd.cgroups.v1.Metrics, or v2's on a host
without v1.

The numbers come from pyrunc/cgroup/stats.py. This module has their names (containerd/cgroups, stats/metrics.proto).
"""

from pyrunc.cgroup.counters import UNLIMITED, Files
from pyrunc.cgroup.host import UNIFIED
from pyrunc.cgroup.stats import stats
from pyrunc.protobuf import Codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.protobuf import Fields


def _uints(first: int, *names: str) -> "Fields":
    return {name: (first + at, "uint") for at, name in enumerate(names)}


_MEMORY_V1 = (
    "cache",
    "rss",
    "rss_huge",
    "mapped_file",
    "dirty",
    "writeback",
    "pgpgin",
    "pgpgout",
    "pgfault",
    "pgmajfault",
)
_LISTS = ("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
_LIMITS = ("hierarchical_memory_limit", "hierarchical_memsw_limit")
MEMORY_V1 = (*_MEMORY_V1, *_LISTS, *_LIMITS, *(f"total_{name}" for name in (*_MEMORY_V1, *_LISTS)))
"""Lines of v1's memory.stat, in the order of the message's fields 1 to 32."""
MEMORY_V2 = (
    *("anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty", "file_writeback"),
    *("anon_thp", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "slab_reclaimable"),
    *("slab_unreclaimable", "pgfault", "pgmajfault", "workingset_refault", "workingset_activate"),
    *("workingset_nodereclaim", "pgrefill", "pgscan", "pgsteal", "pgactivate", "pgdeactivate", "pglazyfree"),
    *("pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc"),
)
"""Lines of v2's memory.stat, fields 1 to 31."""
BLKIO = {
    "io_service_bytes_recursive": "ioServiceBytesRecursive",
    "io_serviced_recursive": "ioServicedRecursive",
    "io_queued_recursive": "ioQueueRecursive",
    "io_service_time_recursive": "ioServiceTimeRecursive",
    "io_wait_time_recursive": "ioWaitTimeRecursive",
    "io_merged_recursive": "ioMergedRecursive",
    "io_time_recursive": "ioTimeRecursive",
    "sectors_recursive": "sectorsRecursive",
}
NETWORK = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")

V1: "dict[str, Fields]" = {
    "Metrics": {
        "hugetlb": (1, "HugetlbStat[]"),
        "pids": (2, "PidsStat"),
        "cpu": (3, "CPUStat"),
        "memory": (4, "MemoryStat"),
        "blkio": (5, "BlkIOStat"),
        "network": (7, "NetworkStat[]"),
        "memory_oom_control": (9, "MemoryOomControl"),
    },
    "HugetlbStat": {**_uints(1, "usage", "max", "failcnt"), "pagesize": (4, "text")},
    "PidsStat": _uints(1, "current", "limit"),
    "CPUStat": {"usage": (1, "CPUUsage"), "throttling": (2, "Throttle")},
    "CPUUsage": {**_uints(1, "total", "kernel", "user"), "per_cpu": (4, "uint[]")},
    "Throttle": _uints(1, "periods", "throttled_periods", "throttled_time"),
    "MemoryStat": {
        **_uints(1, *MEMORY_V1),
        **{name: (33 + at, "MemoryEntry") for at, name in enumerate(("usage", "swap", "kernel", "kernel_tcp"))},
    },
    "MemoryEntry": _uints(1, "limit", "usage", "max", "failcnt"),
    "MemoryOomControl": _uints(1, "oom_kill_disable", "under_oom", "oom_kill"),
    "BlkIOStat": {name: (1 + at, "BlkIOEntry[]") for at, name in enumerate(BLKIO)},
    "BlkIOEntry": {"op": (1, "text"), "device": (2, "text"), **_uints(3, "major", "minor", "value")},
    "NetworkStat": {"name": (1, "text"), **_uints(2, *NETWORK)},
}
V2: "dict[str, Fields]" = {
    "Metrics": {
        "pids": (1, "PidsStat"),
        "cpu": (2, "CPUStat"),
        "memory": (4, "MemoryStat"),
        "io": (6, "IOStat"),
        "hugetlb": (7, "HugeTlbStat[]"),
        "memory_events": (8, "MemoryEvents"),
    },
    "PidsStat": _uints(1, "current", "limit"),
    "CPUStat": _uints(1, "usage_usec", "user_usec", "system_usec", "nr_periods", "nr_throttled", "throttled_usec"),
    "MemoryStat": _uints(
        1, *MEMORY_V2, "usage", "usage_limit", "swap_usage", "swap_limit", "max_usage", "swap_max_usage"
    ),
    "MemoryEvents": _uints(1, "low", "high", "max", "oom", "oom_kill"),
    "IOStat": {"usage": (1, "IOEntry[]")},
    "IOEntry": _uints(1, "major", "minor", "rbytes", "wbytes", "rios", "wios"),
    "HugeTlbStat": {**_uints(1, "current", "max"), "pagesize": (3, "text")},
}
CODECS = {"io.containerd.cgroups.v1.Metrics": Codec(V1), "io.containerd.cgroups.v2.Metrics": Codec(V2)}


def metrics(dirs: "dict[str, str]", pid: int) -> "tuple[str, bytes]":
    """Returns (type, bytes) of the statistics of the cgroups ``dirs`` {hierarchy: directory}. ``pid``: the process
    whose network is counted."""
    if list(dirs) == [UNIFIED]:
        kind, values = "io.containerd.cgroups.v2.Metrics", _unified(Files(dirs[UNIFIED]), stats(dirs))
    else:
        kind, values = "io.containerd.cgroups.v1.Metrics", _legacy(dirs, stats(dirs), pid)
    return kind, CODECS[kind].encode("Metrics", values)


def _legacy(dirs: "dict[str, str]", found: "dict[str, Any]", pid: int) -> "dict[str, Any]":
    usage, throttling = found["cpu"].get("usage", {}), found["cpu"].get("throttling", {})
    values: dict[str, Any] = {
        "pids": found["pids"],
        "cpu": {
            "usage": {
                "total": usage.get("total", 0),
                "kernel": usage.get("kernel", 0),
                "user": usage.get("user", 0),
                "per_cpu": usage.get("percpu", []),
            },
            "throttling": {
                "periods": throttling.get("periods", 0),
                "throttled_periods": throttling.get("throttledPeriods", 0),
                "throttled_time": throttling.get("throttledTime", 0),
            },
        },
        "blkio": {name: _blkio(found["blkio"].get(key, [])) for name, key in BLKIO.items()},
        "hugetlb": [{**entry, "pagesize": size} for size, entry in found["hugetlb"].items()],
        "network": _network(pid),
    }
    memory = found["memory"]
    if memory:
        raw = memory["raw"]
        values["memory"] = {name: raw.get(name, 0) for name in MEMORY_V1}
        entries = {"usage": "usage", "swap": "swap", "kernel": "kernel", "kernel_tcp": "kernelTCP"}
        values["memory"] |= {name: memory[key] for name, key in entries.items() if key in memory}
    directory = next((d for name, d in dirs.items() if "memory" in name.split(",")), "")
    if directory:
        control = Files(directory).table("memory.oom_control")
        values["memory_oom_control"] = {name: control.get(name, 0) for name in V1["MemoryOomControl"]}
    return values


def _blkio(entries: "list[dict[str, Any]]") -> "list[dict[str, Any]]":
    return [{**entry, "device": f"{entry['major']}:{entry['minor']}"} for entry in entries]


def _network(pid: int) -> "list[dict[str, Any]]":
    """Returns the interfaces that ``pid`` sees, none if it has ended."""
    from pyrunc.container.events import interfaces

    try:
        found = interfaces(pid) if pid else []
    except OSError:
        return []
    keys = [f"{way}{what}" for way in ("Rx", "Tx") for what in ("Bytes", "Packets", "Errors", "Dropped")]
    return [
        {"name": entry["Name"], **{name: entry[key] for name, key in zip(NETWORK, keys, strict=True)}}
        for entry in found
    ]


def _unified(files: Files, found: "dict[str, Any]") -> "dict[str, Any]":
    cpu, memory = files.table("cpu.stat"), found["memory"]
    values: dict[str, Any] = {
        "pids": {"current": files.number("pids.current"), "limit": files.number("pids.max")},
        "cpu": {name: cpu.get(name, 0) for name in V2["CPUStat"]},
        "io": {"usage": _io(files.text("io.stat"))},
        "hugetlb": _hugetlb(files, found["hugetlb"]),
    }
    if memory:
        events = files.table("memory.events")
        values["memory_events"] = {name: events.get(name, 0) for name in V2["MemoryEvents"]}
        values["memory"] = {name: memory["raw"].get(name, 0) for name in MEMORY_V2} | {
            # Since Linux 5.9 the kernel reports its parts (workingset_refault_anon and _file).
            "workingset_refault": sum(
                memory["raw"].get(f"workingset_refault{kind}", 0) for kind in ("", "_anon", "_file")
            ),
            "usage": files.number("memory.current"),
            "usage_limit": files.number("memory.max"),
            "swap_usage": files.number("memory.swap.current"),
            "swap_limit": files.number("memory.swap.max"),
            "max_usage": files.number("memory.peak"),
            "swap_max_usage": files.number("memory.swap.peak"),
        }
    return values


def _io(text: str) -> "list[dict[str, int]]":
    entries = []
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        if major.isdigit() and minor.isdigit():
            values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            entry = {"major": int(major), "minor": int(minor)}
            entry |= {name: int(values.get(name, 0)) for name in ("rbytes", "wbytes", "rios", "wios")}
            entries.append(entry)
    return entries


def _hugetlb(files: Files, sizes: "dict[str, Any]") -> "list[dict[str, Any]]":
    limits = {size: files.number(f"hugetlb.{size}.max") for size in sizes}
    return [
        {"current": sizes[size]["usage"], "max": limit or UNLIMITED, "pagesize": size} for size, limit in limits.items()
    ]
