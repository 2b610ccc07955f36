"""Statistics of a container's cgroups, with the keys of `runc events --stats`: bytes, nanoseconds, counts."""

from pyrunc.cgroup.counters import Files, pressure
from pyrunc.cgroup.host import UNIFIED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def stats(dirs: "dict[str, str]") -> "dict[str, Any]":
    """Returns the ``data`` of a ``stats`` event. It has every key that runc always writes, even if the host does not
    count the value."""
    from pyrunc.cgroup.v1.cpuset import FLAGS

    entry = {"limit": 0, "failcnt": 0}
    found: dict[str, Any] = {"cpu": {"usage": {"kernel": 0, "user": 0}, "throttling": {}}}
    found["cpuset"] = dict.fromkeys(FLAGS, 0)
    found["memory"] = {name: dict(entry) for name in ("usage", "swap", "kernel", "kernelTCP")}
    found.update({"pids": {}, "blkio": {}, "hugetlb": {}})
    by_controller = {controller: Files(directory) for name, directory in dirs.items() for controller in name.split(",")}
    if UNIFIED in by_controller:
        _unified(by_controller[UNIFIED], found)
    for controller, files in by_controller.items():
        _legacy(controller, files, found)
    return found


def _legacy(controller: str, files: Files, found: "dict[str, Any]") -> None:
    from pyrunc.cgroup.v1 import blkio, cpu, cpuacct, cpuset, hugetlb, memory, pids

    if controller == "memory":
        found["memory"] = memory.stats(files)
    elif controller == "cpuacct":
        found["cpu"]["usage"] = cpuacct.stats(files)
    elif controller == "cpuset":
        found["cpuset"] = cpuset.stats(files)
    elif controller == "cpu":
        found["cpu"]["throttling"] = cpu.stats(files)
    elif controller == "pids":
        found["pids"] = pids.stats(files)
    elif controller == "blkio":
        found["blkio"] = blkio.stats(files)
    elif controller == "hugetlb":
        found["hugetlb"] = hugetlb.stats(files)


def _unified(files: Files, found: "dict[str, Any]") -> None:
    """Fills in the counts of v2. On a hybrid host the v1 counts then replace them."""
    from pyrunc.cgroup.v2 import cpu, cpuset, hugetlb, io, memory, pids

    controllers = files.text("cgroup.controllers").split()
    found["cpu"].update(cpu.stats(files))
    if "memory" in controllers:
        found["memory"] = memory.stats(files)
    if "cpuset" in controllers:
        found["cpuset"] = cpuset.stats(files)
    if "pids" in controllers:
        found["pids"] = pids.stats(files)
    if "io" in controllers:
        found["blkio"] = io.stats(files)
    if "hugetlb" in controllers:
        found["hugetlb"] = hugetlb.stats(files)
    for key, name in (("memory", "memory.pressure"), ("blkio", "io.pressure")):
        found[key].update(pressure(files, name))
