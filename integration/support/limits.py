"""Reads a limit of a container on this host, by the name of its file on cgroup v2, in whichever version has it."""

import glob
from pathlib import Path

from harness import cgroups_of
from pyrunc.cgroup.v2.cpu import shares_to_weight

TOP = Path("/sys/fs/cgroup")
UNIFIED = TOP if (TOP / "cgroup.controllers").exists() else TOP / "unified"
"""The mount point of v2, if v2 is mounted (``LAYOUT``)."""
LAYOUT = "v2" if UNIFIED == TOP else "hybrid" if (UNIFIED / "cgroup.controllers").exists() else "v1"
"""``v1``; ``hybrid``: v1 hierarchies, and v2 beside them with the remaining controllers; ``v2`` alone."""
NO_LIMIT = 1 << 62
"""On v1 "no limit" reads as the largest number of pages, above this value."""
V1 = {
    "memory.max": "memory.limit_in_bytes",
    "memory.low": "memory.soft_limit_in_bytes",
    "memory.current": "memory.usage_in_bytes",
    "cpu.weight": "cpu.shares",
    "cpu.max.burst": "cpu.cfs_burst_us",
    "cgroup.freeze": "freezer.state",
}
"""{file on v2: file on v1} if their names differ; ``_v1`` handles hugetlb's files and limits in two files."""
RATES = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}


def hierarchies() -> list[Path]:
    """Returns the mount point of each hierarchy of this host."""
    if LAYOUT == "v2":
        return [TOP]
    return sorted({path.parent.resolve() for path in TOP.glob("*/cgroup.procs")})


def directory(name: str, controller: str) -> Path:
    """Returns the container's cgroup in the hierarchy of ``controller``, a v1 name; v2 has one hierarchy."""
    found = [Path(path) for path in cgroups_of(name)]
    return next(path for path in found if LAYOUT == "v2" or path.is_relative_to(TOP / controller))


def unified(name: str) -> Path:
    """The container's cgroup on v2."""
    return next(Path(path) for path in cgroups_of(name) if Path(path).is_relative_to(UNIFIED))


def value(name: str, file: str) -> str:
    """``file`` of the container's cgroup, in whichever hierarchy has it."""
    for directory in cgroups_of(name):
        path = Path(directory) / file
        if path.exists():
            return path.read_text().strip()
    raise AssertionError(f"no {file} in {cgroups_of(name)}")


def limit(name: str, file: str) -> str:
    """Returns the limit in v2's format: "max" for no limit, cpu.max as "QUOTA PERIOD", swap without the memory."""
    if any((Path(directory) / file).exists() for directory in cgroups_of(name)):
        return value(name, file)
    return _v1(name, file)


def _v1(name: str, file: str) -> str:
    if file == "memory.swap.max":
        both, memory = (int(value(name, f"memory.{kind}limit_in_bytes")) for kind in ("memsw.", ""))
        return "max" if both > NO_LIMIT else str(both - memory)
    if file == "cpu.max":
        quota, period = value(name, "cpu.cfs_quota_us"), value(name, "cpu.cfs_period_us")
        return f"{'max' if quota == '-1' else quota} {period}"
    if file.startswith("hugetlb."):
        return value(name, file.removesuffix("max") + "limit_in_bytes")
    if file == "cgroup.freeze":
        return str(int(value(name, "freezer.state") != "THAWED"))
    found = value(name, V1.get(file, file))
    return "max" if found.isdigit() and int(found) > NO_LIMIT else found


def weight(shares: int) -> str:
    """Returns the result of ``limit(name, "cpu.weight")`` for a container with ``shares``."""
    return str(shares) if (TOP / "cpu").exists() else str(shares_to_weight(shares))


def io_rate(name: str, kind: str, device: str) -> str:
    """Returns the limit ``kind`` (rbps, wbps, riops, wiops) of the block device ``device`` ("8:0"), or "max"."""
    if glob.glob(f"{TOP}/blkio"):
        lines = value(name, f"blkio.throttle.{RATES[kind]}_device").splitlines()
        return dict(line.split() for line in lines).get(device, "max")
    for line in value(name, "io.max").splitlines():
        found, *limits = line.split()
        if found == device:
            return dict(each.split("=") for each in limits)[kind]
    return "max"


def has_controller(controller: str) -> bool:
    """True if this host has the controller, in either version."""
    v2 = (UNIFIED / "cgroup.controllers").read_text().split() if LAYOUT != "v1" else []
    return controller in v2 or (TOP / controller).is_dir()
