"""cgroups as data: which values go into which files, and the result of device rules."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroup import manager
from pyrunc.cgroup.devices import Rules, lines, rules
from pyrunc.cgroup.host import Hierarchy, Host
from pyrunc.cgroup.limits import Write, limits
from pyrunc.cgroup.manager import Cgroups
from pyrunc.cgroup.paths import clean, resolve
from pyrunc.cgroup.rollback import previous
from pyrunc.cgroup.v1.devices import writes as legacy
from pyrunc.cgroup.v2 import io
from pyrunc.cgroup.v2.cpu import shares_to_weight
from pyrunc.cgroup.v2.devices import program
from pyrunc.errors import SpecError
from pyrunc.spec.load import shaped_resources

V1 = Host(
    [Hierarchy(name, 1, f"/cg/{name}", "/", "/own") for name in ("memory", "cpu,cpuacct", "cpuset", "pids", "blkio")]
)
UNIFIED = Hierarchy("", 2, "/cg", "/", "/a/own")
UNIFIED.controllers = ["memory", "cpu", "cpuset", "pids", "io", "hugetlb"]
V2 = Host([UNIFIED])


def writes(host: Host, **resources: Any) -> dict[str, str]:
    return {w.file: w.value for w in limits(host, shaped_resources(json.loads(json.dumps(resources))))}


def test_memory() -> None:
    asked = {"limit": 100, "swap": 300, "reservation": 50}
    assert writes(V1, memory=asked) == {
        "memory.limit_in_bytes": "100",
        "memory.memsw.limit_in_bytes": "300",
        "memory.soft_limit_in_bytes": "50",
    }
    assert writes(V2, memory=asked) == {"memory.max": "100", "memory.swap.max": "200", "memory.low": "50"}
    assert writes(V2, memory={"limit": -1}) == {"memory.max": "max", "memory.swap.max": "max"}
    assert writes(V1, memory={"limit": 0, "swap": 0}) == {}
    with pytest.raises(SpecError, match=r"linux\.resources\.memory\.swap"):
        writes(V1, memory={"limit": 100, "swap": 50})
    with pytest.raises(SpecError, match="swappiness"):
        writes(V1, memory={"swappiness": 101})


def test_cpu() -> None:
    asked = {"shares": 1024, "quota": 5, "period": 10, "burst": 2}
    assert writes(V1, cpu=asked) == {
        "cpu.shares": "1024",
        "cpu.cfs_period_us": "10",
        "cpu.cfs_quota_us": "5",
        "cpu.cfs_burst_us": "2",
    }
    assert writes(V2, cpu=asked) == {"cpu.weight": "100", "cpu.max": "5 10", "cpu.max.burst": "2"}
    assert writes(V2, cpu={"quota": -1}) == {"cpu.max": "max 100000"}
    assert [shares_to_weight(shares) for shares in (2, 1024, 262144)] == [1, 100, 10000]


def test_what_v2_has_not_is_ignored_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """As in runc: a container made for v1 runs, without limits that v2 has no file for."""
    for name, asked in (
        ("memory.kernelTCP", {"memory": {"kernelTCP": 5}}),
        ("memory.swappiness", {"memory": {"swappiness": 5}}),
        ("memory.disableOOMKiller", {"memory": {"disableOOMKiller": True}}),
        ("cpu.realtimePeriod", {"cpu": {"realtimePeriod": 5}}),
        ("cpu.realtimeRuntime", {"cpu": {"realtimeRuntime": 5}}),
        ("network.classID", {"network": {"classID": 5}}),
        ("network.priorities", {"network": {"priorities": [{"name": "eth0", "priority": 5}]}}),
    ):
        caplog.clear()
        assert writes(V2, **asked) == {}
        assert f"linux.resources.{name}: cgroup v2 has nothing for it" in caplog.text
    with pytest.raises(SpecError, match=r"^linux\.resources\.memory\.swap: needs memory\.limit"):
        writes(V2, memory={"swap": 100})


def test_values_that_say_nothing() -> None:
    """Engines write an unset swappiness as -1 into an unsigned field, and an unset class as 0."""
    for host in (V1, V2):
        assert writes(host, memory={"swappiness": (1 << 64) - 1}, network={"classID": 0}) == {}


def test_swap_of_v2_is_the_rest_of_memory_and_swap() -> None:
    for limit, swap, wanted in (
        (100, 300, {"memory.max": "100", "memory.swap.max": "200"}),
        (100, 100, {"memory.max": "100", "memory.swap.max": "0"}),
        (100, -1, {"memory.max": "100", "memory.swap.max": "max"}),
        (-1, -1, {"memory.max": "max", "memory.swap.max": "max"}),
        (-1, 300, {"memory.max": "max", "memory.swap.max": "300"}),
        (-1, 0, {"memory.max": "max", "memory.swap.max": "max"}),
    ):
        assert writes(V2, memory={"limit": limit, "swap": swap}) == wanted


def test_zero_is_a_value_of_idle_and_burst_only() -> None:
    assert writes(V1, cpu={"idle": 0, "burst": 0, "quota": 0, "period": 0, "shares": 0}) == {
        "cpu.idle": "0",
        "cpu.cfs_burst_us": "0",
    }
    assert writes(V2, cpu={"idle": 0, "burst": 0}) == {"cpu.idle": "0", "cpu.max.burst": "0"}


def test_pids_and_block_io() -> None:
    assert writes(V1, pids={"limit": 5}) == writes(V2, pids={"limit": 5}) == {"pids.max": "5"}
    assert writes(V2, pids={"limit": -1}) == {"pids.max": "max"}
    # 0 is a limit (runtime-spec 1.3); runc writes 1, because systemd does not accept 0.
    assert writes(V1, pids={"limit": 0}) == writes(V2, pids={"limit": 0}) == {"pids.max": "1"}
    device = [{"major": 8, "minor": 1, "rate": 1000}]
    assert writes(V1, blockIO={"throttleReadBpsDevice": device}) == {"blkio.throttle.read_bps_device": "8:1 1000"}
    assert writes(V2, blockIO={"throttleWriteIOPSDevice": device}) == {"io.max": "8:1 wiops=1000"}
    assert writes(V2, blockIO={"weight": 1000}) == {"io.bfq.weight": "1000", "io.weight": "default 10000"}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (["blkio.bfq.io_serviced"], "blkio.bfq.weight"),
        (["blkio.bfq.io_serviced", "below/blkio.bfq.weight"], "blkio.bfq.weight"),
        (["below/blkio.weight"], "blkio.weight"),
        (["blkio.weight"], "blkio.weight"),
        (["blkio.throttle.io_serviced", "below/cgroup.procs"], ""),
    ],
    ids=str,
)
def test_the_file_of_weights_is_known_from_the_top_or_from_a_cgroup_below(
    tmp_path: Path, files: list[str], wanted: str
) -> None:
    """The top cgroup has no file of weights, and there may be no cgroup below it."""
    (tmp_path / "below").mkdir()
    for file in files:
        (tmp_path / file).touch()
    if not any((tmp_path / "below").iterdir()):
        (tmp_path / "below").rmdir()
    host = Host([Hierarchy("blkio", 1, str(tmp_path), "/", "/own")])
    if wanted:
        assert writes(host, blockIO={"weight": 300}) == {wanted: "300"}
    else:
        with pytest.raises(SpecError, match="neither CFQ nor BFQ"):
            writes(host, blockIO={"weight": 300})


@pytest.mark.parametrize("shown", ["by a cgroup", "by its module", ""])
def test_weights_of_v2_go_into_bfqs_file_where_the_kernel_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    """Before io is enabled for the first cgroup, none has the file."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / ("io.bfq.weight" if shown == "by a cgroup" else "io.weight")).touch()
    monkeypatch.setattr(io, "BFQ", str(tmp_path if shown == "by its module" else tmp_path / "nowhere"))
    unified = Hierarchy("", 2, str(tmp_path), "/", "/own")
    unified.controllers = ["io"]
    asked = {"weight": 300, "weightDevice": [{"major": 8, "minor": 0, "weight": 500}]}
    found = [(w.file, w.value, w.optional) for w in limits(Host([unified]), shaped_resources({"blockIO": asked}))]
    assert found == [
        ("io.bfq.weight", "300", True),
        ("io.weight", "default 2930", bool(shown)),
        ("io.bfq.weight", "8:0 500", True) if shown else ("io.weight", "8:0 4950", True),
    ]


def test_network_and_rdma() -> None:
    more = Host([Hierarchy(name, 1, f"/cg/{name}", "/", "/own") for name in ("net_cls", "net_prio", "rdma")])
    network = {"classID": 0x100001, "priorities": [{"name": "eth0", "priority": 5}]}
    assert writes(more, network=network) == {"net_cls.classid": "1048577", "net_prio.ifpriomap": "eth0 5"}
    limits_ = {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 10000}}
    assert writes(more, rdma=limits_) == {"rdma.max": "mlx5_0 hca_handle=3 hca_object=10000"}
    with pytest.raises(
        SpecError, match=r"^linux\.resources\.network\.classID: the host has no cgroup controller net_cls"
    ):
        writes(V1, network=network)


def test_what_the_host_has_not_is_named() -> None:
    with pytest.raises(SpecError, match="rdma.*no cgroup controller rdma"):
        writes(V1, rdma={"x": {"hcaHandles": 1}})
    with pytest.raises(SpecError, match="no cgroup v2"):
        writes(V1, unified={"memory.high": "1"})
    with pytest.raises(SpecError, match="not the name of a file"):
        writes(V2, unified={"../memory.high": "1"})
    assert writes(V2, unified={"memory.high": "5"}) == {"memory.high": "5"}


def test_paths() -> None:
    assert clean("/a/../../b/./c") == "b/c"
    assert resolve(V1, "/x/y", "id")["memory"] == "/cg/memory/x/y"
    assert resolve(V1, "x/y", "id")["memory"] == "/cg/memory/own/x/y"
    assert resolve(V1, "", "id")["cpu,cpuacct"] == "/cg/cpu,cpuacct/own/id"
    assert resolve(V2, "", "id")[""] == "/cg/a/id"
    with pytest.raises(SpecError, match="root cgroup"):
        resolve(V1, "/..", "id")


def simulate(code: bytes, kind: int, major: int, minor: int, access: int) -> int:
    """Interprets the few eBPF instructions of a device program."""
    registers = [0] * 6
    context = {0: access << 16 | kind, 4: major, 8: minor}
    at = 0
    while True:
        operation, packed = code[at * 8], code[at * 8 + 1]
        to, source = packed & 15, packed >> 4
        offset = int.from_bytes(code[at * 8 + 2 : at * 8 + 4], "little", signed=True)
        value = int.from_bytes(code[at * 8 + 4 : at * 8 + 8], "little", signed=True)
        at += 1
        if operation == 0x61:
            registers[to] = context[offset]
        elif operation == 0xBC:
            registers[to] = registers[source] & 0xFFFFFFFF
        elif operation == 0x54:
            registers[to] &= value
        elif operation == 0x74:
            registers[to] >>= value
        elif operation == 0xB7:
            registers[to] = value
        elif operation == 0x55:
            at += offset if registers[to] != value else 0
        elif operation == 0x15:
            at += offset if registers[to] == value else 0
        elif operation == 0x95:
            return registers[0]
        else:
            raise AssertionError(hex(operation))


def kernel_v1(wanted: Rules, kind: str, major: int, minor: int, access: str) -> bool:
    """Returns the answer of the kernel's security/device_cgroup.c for the same rules."""
    matching = [
        held for (k, a, b), held in wanted.exceptions.items() if k == kind and a in (-1, major) and b in (-1, minor)
    ]
    if wanted.allow_all:
        return not any(set(held) & set(access) for held in matching)
    return any(set(access) <= set(held) for held in matching)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}],
        [{"allow": True}, {"allow": False, "type": "b", "major": 8, "access": "w"}],
        [
            {"allow": True, "type": "c", "major": 7, "access": "rwm"},
            {"allow": False, "type": "c", "major": 7, "access": "w"},
        ],
    ],
)
def test_v1_and_v2_mean_the_same(given: list[dict[str, Any]]) -> None:
    wanted = rules(shaped_resources({"devices": given}))
    code = program(wanted)
    bits = {"m": 1, "r": 2, "w": 4}
    for kind, number in (("b", 1), ("c", 2)):
        for major, minor in ((1, 3), (10, 200), (8, 0), (7, 1), (136, 5), (99, 99)):
            for access in ("r", "w", "rw", "m", "rwm"):
                answer = simulate(code, number, major, minor, sum(bits[a] for a in access))
                assert bool(answer) == kernel_v1(wanted, kind, major, minor, access), (kind, major, minor, access)


def test_later_rules_win() -> None:
    wanted = rules(
        shaped_resources(
            {"devices": [{"allow": True, "type": "c", "major": 1, "minor": 1, "access": "rwm"}, {"allow": False}]}
        )
    )
    assert "c 1:1 rwm" not in lines(wanted) and "c 1:3 rwm" in lines(wanted)
    assert legacy(wanted)[0] == ("devices.deny", "a")


def test_a_hole_in_a_wider_rule_is_refused() -> None:
    devices = [
        {"allow": True, "type": "c", "major": 9, "access": "rwm"},
        {"allow": False, "type": "c", "major": 9, "minor": 1, "access": "r"},
    ]
    with pytest.raises(SpecError, match=r"linux\.resources\.devices\[1\]"):
        rules(shaped_resources({"devices": devices}))


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
@pytest.mark.parametrize("wanted", [{"a": 1, "b": 2, "c": 3}, {"a": 30, "b": 40, "c": 50}])
def test_limits_that_must_fit_each_other(
    order: tuple[str, ...], wanted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulates files such as memory's two limits: a value is accepted only if a <= b <= c."""
    values = {"a": 10, "b": 10, "c": 10}

    def write(path: str, value: str) -> None:
        changed = {**values, path.rpartition("/")[2]: int(value)}
        if not changed["a"] <= changed["b"] <= changed["c"]:
            raise OSError(errno.EINVAL, "invalid argument")
        values.update(changed)

    monkeypatch.setattr(manager, "write", write)
    cgroups = Cgroups({"x": "/x"})
    cgroups.apply([Write("x", name, wanted[name], name) for name in order])
    assert values == wanted
    with pytest.raises(SpecError, match=r"^linux\.resources\.a: write '99' to a: invalid argument"):
        cgroups.apply([Write("x", "a", 99, "a")])


def test_what_undoes_a_write(tmp_path: Any) -> None:
    for name, text in {
        "pids.max": "max\n",
        "io.max": "8:0 rbps=5 wbps=max\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n",
        "net_prio.ifpriomap": "lo 0\neth0 7\n",
    }.items():
        (tmp_path / name).write_text(text)
    given = [("pids.max", "5"), ("io.max", "8:0 rbps=1"), ("io.max", "9:0 rbps=1"), ("memory.oom_control", "1")]
    given += [("net_prio.ifpriomap", "eth0 1"), ("absent", "1")]
    undo = previous(Cgroups({"": str(tmp_path)}), [Write("", file, value, "x") for file, value in given])
    assert [(write.file, write.value) for write in undo] == [
        ("net_prio.ifpriomap", "eth0 7"),
        ("memory.oom_control", "0"),
        ("io.max", "9:0 rbps=max wbps=max riops=max wiops=max"),
        ("io.max", "8:0 rbps=5 wbps=max"),
        ("pids.max", "max"),
    ]
