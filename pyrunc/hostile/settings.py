"""Which files of a cgroup hold a setting, and what to write to restore one. Imports nothing."""

NOT_SETTINGS = frozenset(
    (
        *("cgroup.procs", "cgroup.threads", "tasks", "cgroup.kill", "cgroup.event_control", "devices.allow"),
        *("devices.deny", "memory.force_empty", "memory.reclaim", "memory.peak", "memory.swap.peak"),
        *("cpuacct.usage", "blkio.reset_stats", "cpu.pressure", "io.pressure", "memory.pressure", "irq.pressure"),
    )
)
"""Writable files that hold no setting (cgroup-v1/*.rst, cgroup-v2.rst)."""
READ_ONLY = (
    *(".max_usage_in_bytes", ".failcnt", ".stat", "_stat", ".stat.local", ".usage_in_bytes", "_recursive", ".peak"),
    *(".io_serviced", ".io_service_bytes", ".slabinfo", ".pressure_level", ".memory_pressure", ".effective_cpus"),
    *(".effective_mems", ".effective", ".usage_all", ".usage_sys", ".usage_user", ".usage_percpu", ".current"),
    *(".usage_percpu_sys", ".usage_percpu_user", ".events", ".events.local", "_freezing", ".shown_ram_in_bytes"),
    *("cgroup.controllers", "cgroup.sane_behavior"),
)
"""Suffixes of files that are read-only, or that a write resets. They are not opened, because each costs 5 µs."""
WRITTEN_ELSEWHERE = ("devices.list",)
"""Settings that are read here but written through another file."""
ABOVE_V1 = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control", "memory.swappiness"),
    "pids": ("pids.max",),
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"),
    "cpuset": ("cpuset.cpus", "cpuset.mems"),
    "freezer": ("freezer.state",),
    "devices": ("devices.list",),
}
"""{controller: settings of a parent cgroup that also apply to its descendants}."""
ABOVE_V2 = (
    *("memory.max", "memory.high", "memory.swap.max", "memory.min", "memory.low", "memory.oom.group", "pids.max"),
    *("cpu.max", "cpu.weight", "cpuset.cpus", "cpuset.mems", "io.max", "io.weight", "cgroup.freeze"),
    *("cgroup.subtree_control", "cgroup.max.depth", "cgroup.max.descendants"),
)
"""The same for v2. If a parent cgroup disables a controller (subtree_control), its limits are gone, too."""
KEYED = ("_device", "io.", "ifpriomap", "rdma.", "misc.", "numa")
"""Parts of the names of files that have a line for each device, interface or resource."""


def is_setting(name: str) -> bool:
    """Whether the file may hold a setting. Opening it shows whether it can be written."""
    return name not in NOT_SETTINGS and not name.endswith(READ_ONLY)


def value_of(name: str, text: bytes) -> bytes:
    """Returns the part of a file's text that is a setting."""
    return text.partition(b"\n")[0] if name == "memory.oom_control" else text  # its other lines are counters


def order(path: str) -> "tuple[bool, int]":
    """Sort key for writing settings: controllers first, then parents before descendants."""
    return (not path.endswith("subtree_control"), path.count("/"))


def writes(name: str, now: str, wanted: str) -> "list[tuple[str, str]]":
    """Returns [(file, value)]: the writes after which ``name`` reads ``wanted`` again."""
    if name == "devices.list":
        return _device_writes(now.splitlines(), wanted.splitlines())
    if name == "cgroup.subtree_control":
        on, off = set(wanted.split()) - set(now.split()), set(now.split()) - set(wanted.split())
        return [(name, f"+{controller}") for controller in sorted(on)] + [(name, f"-{c}") for c in sorted(off)]
    if name == "memory.oom_control":
        return [(name, wanted.split()[-1])]
    if not any(part in name for part in KEYED):
        return [(name, wanted or "\n")]
    lines = wanted.splitlines()
    keys = {line.split()[0] for line in lines if line.split()}
    gone = [line.split() for line in now.splitlines() if line.split() and line.split()[0] not in keys]
    return [*((name, f"{key} {_none(name, rest)}") for key, *rest in gone), *((name, line) for line in lines)]


def _device_writes(now: "list[str]", wanted: "list[str]") -> "list[tuple[str, str]]":
    """The same for devices.list. Where both list what is allowed, only the difference is written: after a denial of
    all, the container's processes could open and make no device until the last line is written."""
    if wanted == ["a *:* rwm"]:
        return [("devices.allow", "a")]
    if now == ["a *:* rwm"]:
        return [("devices.deny", "a"), *(("devices.allow", line) for line in wanted)]
    before, after = ({line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines} for lines in (now, wanted))
    changes = []
    for file, has, needs in (("devices.allow", before, after), ("devices.deny", after, before)):
        for device, access in needs.items():
            missing = "".join(letter for letter in access if letter not in has.get(device, ""))
            changes += [(file, f"{device} {missing}")] if missing else []
    return changes


def _none(name: str, values: "list[str]") -> str:
    """Returns the value that removes a device's limit (io.max and similar: ``rbps=1 wbps=max``; blkio.throttle.*: a
    number)."""
    if any("=" in value for value in values):
        return " ".join(f"{value.partition('=')[0]}=max" for value in values)
    return "default" if name.endswith("weight") else "0"
