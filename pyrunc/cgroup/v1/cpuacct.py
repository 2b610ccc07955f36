"""cpuacct (cgroup-v1/cpuacct.rst). It has counters, but no limits."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.counters import Files

TICK = 1_000_000_000 // posix.sysconf("SC_CLK_TCK")
"""Nanoseconds per tick, the unit of cpuacct.stat."""


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``cpu.usage``; nanoseconds."""
    ticks = files.table("cpuacct.stat")
    each = [line.split() for line in files.lines("cpuacct.usage_all")[1:]]  # cpu user system
    return {
        "total": files.number("cpuacct.usage"),
        "percpu": [int(value) for value in files.text("cpuacct.usage_percpu").split()],
        "percpu_kernel": [int(row[2]) for row in each],
        "percpu_user": [int(row[1]) for row in each],
        "kernel": ticks.get("system", 0) * TICK,
        "user": ticks.get("user", 0) * TICK,
    }
