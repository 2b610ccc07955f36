"""The error for a wrong config: one line that names the property."""

import copy
import json
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.spec.default import config as default_config
from pyrunc.spec.load import parse


def refused(change: Any) -> str:
    made = copy.deepcopy(default_config())
    change(made)
    with pytest.raises(SpecError) as caught:
        parse(json.dumps(made).encode())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def mapped(config: dict[str, Any], **user: Any) -> None:
    config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": 1, "size": 10}]
    config["process"]["user"].update(user)


def ids(first: int, **other: int) -> dict[str, int]:
    return {"containerID": first, "hostID": first, "size": 1, **other}


def mapping(config: dict[str, Any], **second: int) -> None:
    mapped(config)
    config["linux"]["uidMappings"].append(ids(100, **second))


def new(config: dict[str, Any], kind: str) -> None:
    config["linux"]["namespaces"].append({"type": kind})


def without(config: dict[str, Any], kind: str, **linux: Any) -> None:
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != kind]
    config["linux"].update(linux)


def joined(config: dict[str, Any], kind: str, path: str, **linux: Any) -> None:
    without(config, kind, **linux)
    config["linux"]["namespaces"].append({"type": kind, "path": path})


def scheduled(config: dict[str, Any], policy: str, **values: int) -> None:
    config["process"]["scheduler"] = {"policy": policy, **values}


def device(**other: Any) -> dict[str, Any]:
    return {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, **other}


def limited(config: dict[str, Any], **resources: Any) -> None:
    config["linux"]["resources"] = resources


def filtered(config: dict[str, Any], action: str = "SCMP_ACT_ALLOW", **other: Any) -> None:
    config["linux"]["seccomp"] = {"defaultAction": action, **other}


def rule(**other: Any) -> dict[str, Any]:
    return {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", **other}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("ociVersion"), "ociVersion: required"),
        (lambda c: c.update(ociVersion="0.9.0"), "ociVersion: 0.9.0 is not supported (1.x is)"),
        (lambda c: c.update(ociVersion="2.0.0"), "ociVersion: 2.0.0"),
        (lambda c: c.update(ociVersion="one"), "ociVersion: 'one'"),
        (lambda c: c.update(ociVersion="1.0"), "ociVersion: '1.0' is not a semantic version"),
        (lambda c: c.update(ociVersion="1.01.0"), "ociVersion: '1.01.0' is not a semantic version"),
        (lambda c: c.update(ociVersion="9" * 5000 + ".0.0"), "ociVersion: '999"),
        (lambda c: c.update(ociVersion="2.0.0-\n"), "ociVersion: 2.0.0 is not supported"),
        (lambda c: c.pop("root"), "root: required"),
        (lambda c: c["root"].update(path=""), "root.path: required"),
        (lambda c: c["root"].update(path="a\0b"), "root.path: holds a NUL byte"),
        (lambda c: c["mounts"][2].update(destination=""), "mounts[2].destination: required"),
        (lambda c: c["mounts"][2].update(destination="C:\\x"), "mounts[2].destination: 'C:\\\\x' is a path of Windows"),
        (lambda c: c["mounts"][1].update(source="a\0"), "mounts[1].source: holds a NUL byte"),
        (lambda c: c["process"].update(args=[]), "process.args: must not be empty"),
        (lambda c: c["process"].update(args="sh"), "process.args: must be an array, not a string"),
        (lambda c: c["process"].update(cwd="tmp"), "process.cwd: 'tmp' is not an absolute path"),
        (lambda c: c["process"].update(env=["NOVALUE"]), "process.env[0]: 'NOVALUE' is not NAME=value"),
        (
            lambda c: c["process"]["rlimits"].append(c["process"]["rlimits"][0]),
            "process.rlimits[1].type: RLIMIT_NOFILE is",
        ),
        (lambda c: c["process"]["rlimits"][0].update(type="NOFILE"), "process.rlimits[0].type: 'NOFILE' is not one of"),
        (lambda c: c["process"]["rlimits"][0].update(soft=2000), "process.rlimits[0].soft: 2000 is above hard"),
        (lambda c: c["process"]["user"].update(uid=-1), "process.user.uid: -1 is out of range"),
        (lambda c: c["process"].update(oomScoreAdj=2000), "process.oomScoreAdj: 2000"),
        (lambda c: c["linux"]["namespaces"].append({"type": "pid"}), "linux.namespaces[6].type: pid is given twice"),
        (lambda c: c["linux"]["namespaces"].append({"type": "moon"}), "linux.namespaces[6].type: 'moon' is not one of"),
        (lambda c: c["linux"]["namespaces"].append({"type": "user"}), "linux.uidMappings: required"),
        (
            lambda c: c["linux"].update(uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]),
            "linux.uidMappings: given",
        ),
        (lambda c: mapped(c, uid=10), "process.user.uid: 10 is not mapped"),
        (lambda c: mapped(c, gid=10), "process.user.gid: 10 is not mapped"),
        (lambda c: mapped(c, additionalGids=[1, 99]), "process.user.additionalGids[1]: 99 is not mapped"),
        (lambda c: c["linux"].update(sysctl={"kernel.panic": "1"}), "linux.sysctl.kernel.panic: is of the whole host"),
        (lambda c: c["linux"].update(sysctl={"../x": "1"}), "linux.sysctl.../x: not the name"),
        (lambda c: c["linux"].update(maskedPaths=["proc"]), "linux.maskedPaths[0]: 'proc' is not an absolute path"),
        (lambda c: c["linux"].update(timeOffsets={"monotonic": {}}), "linux.timeOffsets: needs a new time namespace"),
        (lambda c: c["linux"].update(devices=[{"path": "/dev/x", "type": "c"}]), "linux.devices[0].major: required"),
        (lambda c: c["linux"].update(rootfsPropagation="some"), "linux.rootfsPropagation: 'some' is not one of"),
        (
            lambda c: c["linux"]["resources"].update(memory={"limit": "1g"}),
            "linux.resources.memory.limit: must be an integer",
        ),
        (
            lambda c: c.update(hooks={"poststop": [{"path": "x"}]}),
            "hooks.poststop[0].path: 'x' is not an absolute path",
        ),
        (lambda c: c.update(hooks={"poststop": [{"path": "/x", "timeout": 0}]}), "hooks.poststop[0].timeout: must be"),
        (lambda c: c.update(annotations={"": "x"}), "annotations: a key must not be empty"),
        (lambda c: c["process"].update(consoleSize={"height": 65536, "width": 1}), "process.consoleSize.height: 65536"),
        (lambda c: c["process"].update(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), "process.ioPriority.p"),
        (lambda c: c["process"].update(execCPUAffinity={"final": "²"}), "process.execCPUAffinity.final: '²' is not"),
        (lambda c: scheduled(c, "SCHED_OTHER", nice=20), "process.scheduler.nice: 20 is not between"),
        (lambda c: scheduled(c, "SCHED_BATCH", priority=1), "process.scheduler.priority: SCHED_BATCH has none"),
        (lambda c: scheduled(c, "SCHED_FIFO", deadline=1), "process.scheduler.deadline: SCHED_FIFO has none"),
        (lambda c: c["linux"]["namespaces"][0].update(path="ns"), "linux.namespaces[0].path: 'ns' is not an absolute"),
        (lambda c: mapping(c, size=0), "linux.uidMappings[1].size: must be greater than zero"),
        (lambda c: mapping(c, containerID=5), "linux.uidMappings[1].containerID: overlaps"),
        (lambda c: mapping(c, hostID=5), "linux.uidMappings[1].hostID: overlaps"),
        (lambda c: mapping(c, hostID=2**32 - 1), "linux.uidMappings[1].size: goes beyond the last id from hostID"),
        (lambda c: mapped(c) or c["linux"].update(gidMappings=[ids(i) for i in range(341)]), "linux.gidMappings: more"),
        (
            lambda c: c["mounts"][0].update(uidMappings=[ids(0), ids(0)]),
            "mounts[0].uidMappings[1].containerID: overlaps",
        ),
        (
            lambda c: new(c, "time") or c["linux"].update(timeOffsets={"boottime": {"nanosecs": 10**9}}),
            "linux.timeOffsets.boottime.nanosecs: 1000000000 is a second or more",
        ),
        (lambda c: c["linux"].update(netDevices={"a" * 16: {}}), f"linux.netDevices.{'a' * 16}: 'aaaa"),
        (lambda c: c["linux"].update(netDevices={"é" * 8: {}}), "linux.netDevices.éééééééé: "),
        (
            lambda c: c["linux"].update(netDevices={"a": {"name": "b/c"}}),
            "linux.netDevices.a.name: 'b/c' is not the name",
        ),
        (lambda c: c["linux"].update(netDevices={"a": {"name": "b"}, "b": {}}), "linux.netDevices.b.name: b is given"),
        (lambda c: without(c, "network", netDevices={"a": {}}), "linux.netDevices: needs a network namespace"),
        (lambda c: without(c, "network", sysctl={"net.x": "1"}), "linux.sysctl.net.x: needs a network namespace"),
        (lambda c: without(c, "ipc", sysctl={"fs/mqueue/x": "1"}), "linux.sysctl.fs/mqueue/x: needs a ipc namespace"),
        (
            lambda c: joined(c, "network", "/proc/self/ns/net", sysctl={"net.x": "1"}),
            "linux.sysctl.net.x: needs a netw",
        ),
        (
            lambda c: c["linux"].update(sysctl={"kernel.hostname": "x"}),
            'linux.sysctl.kernel.hostname: not allowed, as it conflicts with the OCI "hostname" field',
        ),
        (lambda c: c["linux"].update(sysctl={"net.a\nb": "1"}), "linux.sysctl['net.a\\nb']: not the name"),
        (lambda c: c["linux"].update(sysctl={"net/../vm/x": "1"}), "linux.sysctl.net/../vm/x: not the name"),
        (lambda c: c["linux"].update(sysctl={"net.//x": "1"}), "linux.sysctl.net.//x: not the name"),
        (lambda c: without(c, "mount"), "linux.maskedPaths: needs a mount namespace"),
        (lambda c: without(c, "uts"), "hostname: needs a uts namespace"),
        (lambda c: c["linux"].update(devices=[device(major=4096)]), "linux.devices[0].major: 4096 is not between"),
        (lambda c: c["linux"].update(devices=[device(minor=-1)]), "linux.devices[0].minor: -1 is not between"),
        (lambda c: c["linux"].update(devices=[device(path="x")]), "linux.devices[0].path: 'x' is not an absolute"),
        (lambda c: limited(c, devices=[{"allow": True, "access": "rx"}]), "linux.resources.devices[0].access: 'rx'"),
        (lambda c: limited(c, devices=[{"allow": True, "minor": -2}]), "linux.resources.devices[0].minor: -2"),
        (lambda c: limited(c, devices=[{"access": "r"}]), "linux.resources.devices[0].allow: required"),
        (lambda c: limited(c, devices=[{"allow": True, "type": "u"}]), "linux.resources.devices[0].type: 'u' is not"),
        (
            lambda c: limited(c, hugepageLimits=[{"pageSize": "²MB", "limit": 1}]),
            "linux.resources.hugepageLimits[0].pageSize: '²MB' is not a size",
        ),
        (lambda c: filtered(c, "SCMP_ACT_NOTIFY"), "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot"),
        (lambda c: filtered(c, "SCMP_ACT_MAYBE"), "linux.seccomp.defaultAction: 'SCMP_ACT_MAYBE' is not one of"),
        (lambda c: filtered(c, listenerMetadata="x"), "linux.seccomp.listenerMetadata: given, but"),
        (lambda c: filtered(c, syscalls=[rule(action="SCMP_ACT_NOTIFY")]), "linux.seccomp.listenerPath: required"),
        (
            lambda c: filtered(c, syscalls=[rule(), rule(names=[])]),
            "linux.seccomp.syscalls[1].names: must not be empty",
        ),
        (
            lambda c: filtered(c, syscalls=[rule(args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}])]),
            "linux.seccomp.syscalls[0].args[0].index: 6 is not between 0 and 5",
        ),
        (lambda c: c["linux"].update(memoryPolicy={"mode": "MPOL_BIND"}), "linux.memoryPolicy.nodes: required for"),
        (
            lambda c: c["linux"].update(memoryPolicy={"mode": "MPOL_LOCAL", "nodes": "0"}),
            "linux.memoryPolicy.nodes: MPOL_LOCAL takes none",
        ),
        (
            lambda c: c["linux"].update(intelRdt={"memBwSchema": "L3:0=f"}),
            "linux.intelRdt.memBwSchema: 'L3:0=f' is not",
        ),
        (lambda c: c["linux"].update(personality={"domain": "LINUX", "flags": ["X"]}), "linux.personality.flags: no"),
        (lambda c: c.update(hostname="\ud800"), "hostname: holds half of a surrogate pair"),
    ],
)
def test_rule(change: Any, words: str) -> None:
    assert refused(change).startswith(words)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0+dev", "1.3.0", "1.3.7"])
def test_versions_that_are_taken(version: str, caplog: pytest.LogCaptureFixture) -> None:
    parse(json.dumps({**default_config(), "ociVersion": version}).encode())
    assert not caplog.messages


@pytest.mark.parametrize("version", ["1.4.0", "1.10.3", "1.4.0-rc.1+x", "1.99999999.0"])
def test_a_later_minor_version_is_taken_with_a_warning(version: str, caplog: pytest.LogCaptureFixture) -> None:
    parse(json.dumps({**default_config(), "ociVersion": version}).encode())
    (message,) = caplog.messages
    assert message.startswith(f"ociVersion: {version.partition('-')[0]} is newer than 1.3")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["process"]["capabilities"].update(bounding=["CAP_TOMORROW"]),
        lambda c: filtered(c, syscalls=[rule(names=["tomorrow"])]),
        lambda c: filtered(c, syscalls=[rule(action="SCMP_ACT_NOTIFY")], listenerPath="/l"),
        lambda c: mapped(c) or c["linux"]["namespaces"][-1].update(path="/proc/1/ns/user"),
        lambda c: (
            without(c, "user", namespaces=[{"type": "user", "path": "/u"}], maskedPaths=[], readonlyPaths=[])
            or c.pop("hostname")
        ),
        lambda c: c["linux"].update(devices=[{"path": "/fifo", "type": "p"}]),
        lambda c: c["linux"].update(devices=[device(fileMode=0o20666)]),
        lambda c: c["linux"].update(sysctl={"net/ipv4/conf/eth0.1/forwarding": "1", "kernel.domainname": "d"}),
        lambda c: c["linux"].update(netDevices={"a": {"name": "b"}, "b": {"name": "a"}}),
        lambda c: c["linux"].update(memoryPolicy={"mode": "MPOL_PREFERRED"}),
        lambda c: c["linux"].update(rootfsPropagation="rslave"),
        lambda c: c["process"].update(user=None, capabilities=None, rlimits=None),
        lambda c: c.update(linux=None) or c.pop("hostname"),
    ],
)
def test_what_is_taken(change: Any) -> None:
    made = copy.deepcopy(default_config())
    change(made)
    parse(json.dumps(made).encode())


def test_unknown_properties_are_ignored() -> None:
    made = default_config()
    made["of tomorrow"] = {"x": 1}
    made["process"]["of tomorrow"] = 1
    parse(json.dumps(made).encode())
