"""cpu (cgroup-v2.rst "CPU")."""

from pyrunc.cgroup.entries import ignored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources

DEFAULT_PERIOD = 100000
"""Microseconds."""


def limits(resources: "Resources", _: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entries; times in microseconds."""
    cpu = resources.cpu
    assert cpu is not None
    if cpu.shares:
        yield "cpu.weight", shares_to_weight(cpu.shares), "cpu.shares", False
    if cpu.idle is not None:
        yield "cpu.idle", cpu.idle, "cpu.idle", False
    if cpu.quota or cpu.period:
        quota = "max" if not cpu.quota or cpu.quota < 0 else cpu.quota
        yield "cpu.max", f"{quota} {cpu.period or DEFAULT_PERIOD}", "cpu.quota" if cpu.quota else "cpu.period", False
    if cpu.burst is not None:
        yield "cpu.max.burst", cpu.burst, "cpu.burst", False
    ignored(("cpu.realtimePeriod", cpu.realtime_period), ("cpu.realtimeRuntime", cpu.realtime_runtime))


def shares_to_weight(shares: int) -> int:
    """Converts cpu.shares (2 to 262144, default 1024) to cpu.weight (1 to 10000, default 100), as runc 1.4 and crun
    1.23 do.

    The older, linear conversion is not used, because it mapped the default of 1024 shares to a weight of 39.
    """
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    x = log2(shares)
    return ceil(10 ** ((x * x + 125 * x) / 612.0 - 7.0 / 34.0))


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``cpu``; times in nanoseconds. cpu.stat exists even if the cpu controller is not enabled."""
    from pyrunc.cgroup.counters import pressure
    from pyrunc.cgroup.v1.cpu import throttling

    table = files.table("cpu.stat")
    if not table:
        return {}
    usage = {
        "total": table.get("usage_usec", 0) * 1000,
        "kernel": table.get("system_usec", 0) * 1000,
        "user": table.get("user_usec", 0) * 1000,
    }
    return {"usage": usage, "throttling": throttling(table, "throttled_usec", 1000), **pressure(files, "cpu.pressure")}
