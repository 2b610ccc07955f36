"""cpu (scheduler/sched-bwc.rst, sched-rt-group.rst)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entries; times in microseconds."""
    cpu = resources.cpu
    assert cpu is not None
    if cpu.shares:
        yield "cpu.shares", cpu.shares, "cpu.shares", False
    if cpu.idle is not None:
        yield "cpu.idle", cpu.idle, "cpu.idle", False
    if cpu.realtime_period:
        yield "cpu.rt_period_us", cpu.realtime_period, "cpu.realtimePeriod", False
    if cpu.realtime_runtime:
        yield "cpu.rt_runtime_us", cpu.realtime_runtime, "cpu.realtimeRuntime", False
    if cpu.period:
        yield "cpu.cfs_period_us", cpu.period, "cpu.period", False
    if cpu.quota:
        yield "cpu.cfs_quota_us", cpu.quota, "cpu.quota", False
    if cpu.burst is not None:
        yield "cpu.cfs_burst_us", cpu.burst, "cpu.burst", False


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``cpu.throttling``; times in nanoseconds."""
    return throttling(files.table("cpu.stat"), "throttled_time", 1)


def throttling(table: "dict[str, int]", key: str, unit: int) -> "dict[str, int]":
    return {
        "periods": table.get("nr_periods", 0),
        "throttledPeriods": table.get("nr_throttled", 0),
        "throttledTime": table.get(key, 0) * unit,
    }
