"""A config that uses every property of the spec, and ways to make it wrong."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyrunc.spec.default import config as default_config

SCHEMA = Path(__file__).resolve().parents[3] / "shared" / "oci" / "schema"
MAPPING = {"containerID": 0, "hostID": 1000, "size": 65536}
HOOK = {"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}
POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
RATE = {"major": 8, "minor": 0, "rate": 1}

Path_ = tuple[str | int, ...]


def full() -> dict[str, Any]:
    """Returns a config that is also valid for the rules. ``test_shape.py`` checks that no property is missing."""
    made = copy.deepcopy(default_config())
    made["annotations"] = {"a": "b"}
    made["domainname"] = "d"
    made["hooks"] = {point: [copy.deepcopy(HOOK)] for point in POINTS}
    made["mounts"] = [*made["mounts"][:2], {"destination": "/m", "source": "/s", "type": "bind", "options": ["bind"]}]
    made["mounts"][2].update(uidMappings=[dict(MAPPING)], gidMappings=[dict(MAPPING)])
    _process(made["process"])
    _linux(made["linux"])
    _resources(made["linux"]["resources"])
    return made


def _process(process: dict[str, Any]) -> None:
    process.update(
        consoleSize={"height": 24, "width": 80},
        scheduler={
            "policy": "SCHED_DEADLINE",
            "nice": 1,
            "priority": 0,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 1,
            "deadline": 2,
            "period": 3,
        },
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 3},
        execCPUAffinity={"initial": "0", "final": "0-1"},
        oomScoreAdj=10,
        apparmorProfile="a",
        selinuxLabel="b",
        user={"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3], "username": "u"},
    )
    for name in ("inheritable", "ambient"):
        process["capabilities"][name] = ["CAP_KILL"]


def _linux(linux: dict[str, Any]) -> None:
    linux["namespaces"] = [{"type": "pid", "path": "/p"}, *linux["namespaces"][1:], {"type": "user"}, {"type": "time"}]
    linux.update(
        uidMappings=[dict(MAPPING)],
        gidMappings=[dict(MAPPING)],
        sysctl={"net.ipv4.ip_forward": "1"},
        cgroupsPath="/c",
        devices=[{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
        netDevices={"eth0": {"name": "c0"}},
        rootfsPropagation="slave",
        mountLabel="l",
        timeOffsets={"monotonic": {"secs": 1, "nanosecs": 2}},
        personality={"domain": "LINUX", "flags": []},
        memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
        intelRdt={
            "closID": "c",
            "schemata": ["L3:0=f"],
            "l3CacheSchema": "L3:0=f",
            "memBwSchema": "MB:0=20",
            "enableMonitoring": True,
        },
        seccomp={
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/l",
            "listenerMetadata": "m",
            "syscalls": [
                {
                    "names": ["mkdir", "no such call"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 0, "value": 2**64 - 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        },
    )


def _resources(resources: dict[str, Any]) -> None:
    resources["devices"] = [{"allow": True, "type": "c", "major": 1, "minor": -1, "access": "rwm"}]
    resources.update(
        memory={
            "limit": 1 << 20,
            "reservation": 1,
            "swap": -1,
            "kernel": 1,
            "kernelTCP": 1,
            "swappiness": 1,
            "disableOOMKiller": False,
            "useHierarchy": True,
            "checkBeforeUpdate": True,
        },
        cpu={
            "shares": 2,
            "quota": 1,
            "burst": 1,
            "period": 2,
            "realtimeRuntime": 1,
            "realtimePeriod": 1,
            "cpus": "0",
            "mems": "0",
            "idle": 1,
        },
        pids={"limit": 3},
        blockIO={
            "weight": 10,
            "leafWeight": 10,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 1, "leafWeight": 1}],
            "throttleReadBpsDevice": [dict(RATE)],
            "throttleWriteBpsDevice": [dict(RATE)],
            "throttleReadIOPSDevice": [dict(RATE)],
            "throttleWriteIOPSDevice": [dict(RATE)],
        },
        hugepageLimits=[{"pageSize": "2MB", "limit": 0}],
        network={"classID": 1, "priorities": [{"name": "eth0", "priority": 1}]},
        rdma={"mlx": {"hcaHandles": 1, "hcaObjects": 2}},
        unified={"memory.high": "1"},
    )


WRONG: tuple[Any, ...] = (
    *("text", "", 1, -1, 2**16, 2**32, 2**64, 1.5, True, None),
    *([], {}, ["x"], [1], [None], {"x": 1}, {"x": "y"}),
)
GONE = object()


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yields every place of a config, the whole config first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value: Any, path: Path_, new: Any) -> Any:
    """Returns ``value`` with ``new`` at ``path`` (GONE removes it); parts outside of the path are shared."""
    if not path:
        return new
    key, *rest = path
    made = copy.copy(value)
    if not rest and new is GONE:
        del made[key]
    else:
        made[key] = changed(value[key], tuple(rest), new)
    return made


def mutants(config: dict[str, Any]) -> Iterator[tuple[Path_, Any, Any]]:
    """Yields (place, value there, config)."""
    for path in places(config):
        for wrong in (*WRONG, GONE) if path else WRONG:
            yield path, wrong, changed(config, path, wrong)


def dotted(path: Path_) -> str:
    """Returns the path as an error names it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
