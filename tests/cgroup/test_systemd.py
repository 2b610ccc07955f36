"""The systemd driver: names, properties, annotations. integration/cgroups/test_systemd.py uses a real systemd."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from pyrunc.cgroup.devices import rules
from pyrunc.cgroup.systemd import annotations, devices, manager
from pyrunc.cgroup.systemd.names import escape, expand, object_path, parse, scope_path
from pyrunc.cgroup.systemd.properties import mask, properties, scope
from pyrunc.cgroup.systemd.values import INFINITY, decode, elements, encode
from pyrunc.errors import PyruncError, SpecError
from pyrunc.spec.load import shaped_resources


def told(alone: bool = True, version: int = 257, **sections: Any) -> dict[str, Any]:
    return {name: value for name, _, value in decode(properties(shaped_resources(sections), alone, version))}


def test_names() -> None:
    assert parse("", "x") == ("system.slice", "pyrunc-x.scope")
    assert parse("", "x", user=True) == ("user.slice", "pyrunc-x.scope")
    assert parse("machine.slice:libpod:abc", "x") == ("machine.slice", "libpod-abc.scope")
    assert parse("system.slice::n", "x") == ("system.slice", "-n.scope")
    assert parse(":cri:n", "x") == ("system.slice", "cri-n.scope")
    assert parse("-.slice:x:n", "x") == ("-.slice", "x-n.scope")
    assert parse("a.slice:x:a-b.slice", "x") == ("a.slice", "a-b.slice")
    for wrong in ("/a/b", "a:b", "a:b:", "a.slice:b:c:d"):
        with pytest.raises(SpecError, match=r"^linux\.cgroupsPath: .*slice:prefix:name"):
            parse(wrong, "x")
    for wrong in ("a", "a--b.slice", "a/b.slice", ".slice", "-a.slice", "a-.slice", "a b.slice", "é.slice", "--x"):
        with pytest.raises(SpecError, match="not the name of a slice"):
            parse(f"{wrong}:p:n", "x")
    with pytest.raises(SpecError, match="longer than 255"):
        parse(f"a.slice:p:{'n' * 250}", "x")


def test_what_a_name_cannot_hold_is_escaped() -> None:
    assert escape("a+b@c d/é.scope") == r"a\x2bb\x40c\x20d\x2f\xc3\xa9.scope"
    assert escape(r"a\x2db_c:d") == r"a\x2db_c:d"  # an engine's escapes are kept
    assert parse("", "a+b") == ("system.slice", r"pyrunc-a\x2bb.scope")
    assert object_path("a-b.scope") == "/org/freedesktop/systemd1/unit/a_2db_2escope"


def test_where_the_cgroup_is() -> None:
    path = "kubepods-burstable.slice:cri:abc"
    assert scope_path(path, "x") == "/kubepods.slice/kubepods-burstable.slice/cri-abc.scope"
    assert scope_path("-.slice:x:n", "x") == "/x-n.scope"
    user = "/user.slice/user-1000.slice/user@1000.service"
    assert scope_path("", "x", user, user=True) == f"{user}/user.slice/pyrunc-x.scope"
    assert scope_path("a.slice:x:a-b.slice", "x") == "/a.slice/a-b.slice"
    assert expand("-.slice") == ""


def test_limits_of_v2() -> None:
    assert told(memory={"limit": 100, "swap": 300, "reservation": 50}) == {
        "MemoryMax": 100,
        "MemorySwapMax": 200,
        "MemoryLow": 50,
    }
    assert told(cpu={"shares": 1024, "quota": 20000, "period": 50000, "cpus": "0-2,9", "mems": "0"}) == {
        "CPUWeight": 100,
        "CPUQuotaPeriodUSec": 50000,
        "CPUQuotaPerSecUSec": 400000,
        "AllowedCPUs": [0b111, 0b10],
        "AllowedMemoryNodes": [1],
    }
    assert told(pids={"limit": 7}) == {"TasksMax": 7} and told(pids={"limit": 0}) == {"TasksMax": 1}
    assert told(blockIO={"weight": 1000, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}) == {
        "IOWeight": 10000,
        "IODeviceWeight": [["/dev/block/8:0", 1]],
    }
    device = [{"major": 8, "minor": 16, "rate": 5}]
    assert told(blockIO={"throttleReadBpsDevice": device, "throttleWriteIOPSDevice": device}) == {
        "IOReadBandwidthMax": [["/dev/block/8:16", 5]],
        "IOWriteIOPSMax": [["/dev/block/8:16", 5]],
    }


def test_minus_one_lifts() -> None:
    assert told(memory={"limit": -1}) == {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}
    assert told(cpu={"quota": -1}) == {"CPUQuotaPerSecUSec": INFINITY}
    assert told(pids={"limit": -1}) == {"TasksMax": INFINITY}
    device = [{"major": 8, "minor": 16, "rate": 0}]
    assert told(blockIO={"throttleReadBpsDevice": device}) == {"IOReadBandwidthMax": [["/dev/block/8:16", INFINITY]]}


def test_limits_of_v1() -> None:
    assert told(False, memory={"limit": 100, "swap": 300}, cpu={"shares": 5, "quota": 1}, pids={"limit": 3}) == {
        "MemoryLimit": 100,
        "CPUShares": 5,
        "CPUQuotaPerSecUSec": 10000,
        "TasksMax": 3,
    }
    assert told(False, blockIO={"weight": 500}, unified={"memory.high": "5"}) == {"BlockIOWeight": 500}


def test_quota_is_rounded_up_to_whole_percents() -> None:
    assert told(cpu={"quota": 3333, "period": 10000})["CPUQuotaPerSecUSec"] == 340000
    assert told(cpu={"period": 10000}) == {"CPUQuotaPeriodUSec": 10000, "CPUQuotaPerSecUSec": INFINITY}


def test_unified_says_it_too_and_counts() -> None:
    files = {"memory.high": "5", "memory.min": "6", "memory.swap.max": "max", "memory.max": "7\n", "pids.max": "8"}
    files |= {"cpu.weight": "9", "cpu.max": "max 5000", "cpuset.cpus": "1", "memory.oom.group": "1"}
    files |= {"io.weight": "default 10\n8:0 20", "io.max": "8:0 rbps=1 wiops=max"}
    assert told(memory={"limit": 1}, unified=files) == {
        "MemoryMax": 7,
        "MemoryHigh": 5,
        "MemoryMin": 6,
        "MemorySwapMax": INFINITY,
        "TasksMax": 8,
        "CPUWeight": 9,
        "CPUQuotaPeriodUSec": 5000,
        "CPUQuotaPerSecUSec": INFINITY,
        "AllowedCPUs": [2],
        "OOMPolicy": "kill",
        "IOWeight": 10,
        "IODeviceWeight": [["/dev/block/8:0", 20]],
        "IOReadBandwidthMax": [["/dev/block/8:0", 1]],
        "IOWriteIOPSMax": [["/dev/block/8:0", INFINITY]],
    }


def test_an_older_systemd_is_told_what_it_knows() -> None:
    cpu = {"quota": 5000, "period": 10000, "cpus": "0", "idle": 1}
    assert set(told(True, 239, cpu=cpu)) == {"CPUQuotaPerSecUSec"}
    assert set(told(True, 244, cpu=cpu)) == {"CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs"}
    assert told(True, 252, cpu=cpu)["CPUWeight"] == 0
    assert "OOMPolicy" not in told(True, 252, unified={"memory.oom.group": "1"})


def test_mask() -> None:
    assert mask("0,3-4") == [0b11001] and mask("8") == [0, 1] and mask("0-7") == [255] and mask("bad") == []


def test_device_rules() -> None:
    given = [{"allow": False}, {"allow": True, "type": "b", "major": 8, "access": "r"}]
    held = decode(devices.properties(rules(shaped_resources({"devices": given})), 252))
    assert held[:2] == [("DevicePolicy", "s", "strict"), ("DeviceAllow", "a(ss)", [])]
    for entry in (["block-8", "r"], ["/dev/char/1:3", "rwm"], ["char-136", "rwm"], ["char-*", "m"]):
        assert entry in held[2][2]
    everything = rules(shaped_resources({"devices": [{"allow": True}]}))
    assert decode(devices.properties(everything, 252)) == [
        ("DevicePolicy", "s", "auto"),
        ("DeviceAllow", "a(ss)", []),
    ]
    # A rule that systemd cannot express must not be denied by systemd: pyrunc's own program decides.
    odd = rules(shaped_resources({"devices": [{"allow": True, "type": "c", "minor": 5, "access": "r"}]}))
    assert decode(devices.properties(odd, 252))[0] == ("DevicePolicy", "s", "auto")


def test_of_every_unit() -> None:
    names = {name: value for name, _, value in decode(scope("a.scope", True))}
    assert names["Delegate"] is True and names["DefaultDependencies"] is False and "IOAccounting" in names
    assert "Delegate" not in " ".join(scope("a.slice", True)) and "BlockIOAccounting=b:true" in scope("a.scope", False)


def test_words_of_a_step() -> None:
    given = [
        ("A", "t", 5),
        ("B", "b", True),
        ("C", "s", "x=y:z"),
        ("D", "a(ss)", [["/dev/null", "r"]]),
        ("E", "ay", [1]),
    ]
    assert encode(given) == ["A=t:5", "B=b:true", "C=s:x=y:z", 'D=a(ss):[["/dev/null","r"]]', "E=ay:[1]"]
    assert decode(encode(given)) == given
    assert elements("sa(sv)a{sv}aas") == ["s", "a(sv)", "a{sv}", "aas"]
    with pytest.raises(PyruncError):
        elements("a(s")


@pytest.mark.parametrize(
    ("text", "signature", "value"),
    [
        *(("true", "b", True), ("5", "i", 5), ("-0x10", "i", -16), ("017", "i", 15), ("1.5", "d", 1.5)),
        *(("'a b'", "s", "a b"), ('"it\'s"', "s", "it's"), (r"'\u00e9\n'", "s", "é\n"), ("''", "s", "")),
        *(("uint64 5000000", "t", 5000000), ("@t 7", "t", 7), ("byte 0xff", "y", 255), ("int64 -1", "x", -1)),
        *(("['a', 'b']", "as", ["a", "b"]), ("@as []", "as", []), ("@au [1,2]", "au", [1, 2])),
        *(
            ("('x', 1)", "(si)", ["x", 1]),
            ("(1,)", "(i)", [1]),
            ("@a(st) [('/dev/sda', 5)]", "a(st)", [["/dev/sda", 5]]),
        ),
        *(("{'k': 'v'}", "a{ss}", [["k", "v"]]), ("<'v'>", "v", ["s", "v"]), ("objectpath '/a'", "o", "/a")),
        *((" [ <1> , <'a'> ] ", "av", [["i", 1], ["s", "a"]]), ("b'ab'", "ay", [97, 98, 0]), ("double 3", "d", 3.0)),
    ],
)
def test_values_of_annotations(text: str, signature: str, value: Any) -> None:
    assert annotations.parse(text) == (signature, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "'a",
        "[1, 'a']",
        "5 6",
        "uint64 -1",
        "byte 256",
        "@as [1]",
        "[]",
        "()",
        "@t 'x'",
        "nothing",
        "@(ss) ('a',)",
        *("08", "1_0", "²", "@ 1", "@tt 1", "{1: 2, 'a': 3}", "boolean 1", "[" * 100, "uint32 1.5", "'\\u12'"),
    ],
)
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(SpecError, match=r"^annotations\['org\.systemd\.property\.Foo'\]: "):
        annotations.properties({"org.systemd.property.Foo": text})


def test_annotations() -> None:
    given = {"org.systemd.property.TimeoutStopSec": "5", "org.systemd.property.CollectMode": "'inactive-or-failed'"}
    given |= {
        "other": "x",
        "org.systemd.property.TimeoutStartUSec": "uint64 7",
        "org.systemd.property.RuntimeMaxSec": "1.5",
    }
    assert annotations.properties(given) == [
        "TimeoutStopUSec=t:5000000",
        "CollectMode=s:inactive-or-failed",
        "TimeoutStartUSec=t:7",
        "RuntimeMaxUSec=t:1500000",
    ]
    for name, value in (("Bad-Name", "1"), ("X", "1"), ("TimeoutSec", "'x'"), ("TimeoutSec", "-1"), ("", "1")):
        with pytest.raises(SpecError, match=rf"^annotations\['org\.systemd\.property\.{name}'\]: "):
            annotations.properties({f"org.systemd.property.{name}": value})


def test_which_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager.posix, "environ", {})
    assert manager.addresses(False)[0] == ("unix:path=/run/systemd/private", True)
    monkeypatch.setattr(
        manager.posix, "environ", {b"XDG_RUNTIME_DIR": b"/run/a b", b"DBUS_SESSION_BUS_ADDRESS": b"unix:x"}
    )
    assert manager.addresses(True) == [
        ("unix:x", False),
        ("unix:path=/run/a%20b/bus", False),
        ("unix:path=/run/a%20b/systemd/private", True),
    ]


def test_versions() -> None:
    assert [manager.number(text) for text in ("252.38-1~deb12u1", "v257-rc1", "240", "", "x")] == [252, 257, 240, 0, 0]


class Answering:
    """A bus on which systemd answers; what it was asked is noted."""

    asked: ClassVar[list[str]] = []

    def __init__(self, address: str, direct: bool) -> None:
        self.asked.clear()

    def tell(self, *_: object) -> None:
        pass

    def call(self, target: tuple[str, str, str], member: str, signature: str, arguments: list[str], _: float) -> object:
        self.asked.append(" ".join([member, *arguments[1:]]))
        answer = {"Version": "257.9-1", "ControlGroup": "/user.slice/"}[arguments[-1]]
        return SimpleNamespace(read=lambda kind: [answer])


@pytest.mark.parametrize("users", [False, True])
def test_what_a_creation_needs_to_know_is_asked_once(monkeypatch: pytest.MonkeyPatch, users: bool) -> None:
    """Each question is a round trip. That of a connection, whether systemd answers at all, is the first of them."""
    monkeypatch.setattr(manager, "Bus", Answering)
    made = manager.Manager(users)
    made.connect()
    assert made.facts() == made.facts() == (257, "/user.slice" if users else "")
    assert Answering.asked == ["Get Version", *(["Get ControlGroup"] if users else [])]


def test_without_systemd_it_says_so() -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("this host runs systemd")
    with pytest.raises(PyruncError, match="systemd not running on this host"):
        manager.manager()


def test_a_bus_that_is_not_there_can_be_forgotten() -> None:
    """The release of the connection must not be called after the library was unloaded."""
    code = "import gc\nfrom pyrunc.cgroup.systemd.bus import Bus, BusError\n"
    code += "for _ in range(3):\n try: Bus('unix:path=/no/bus', True)\n except BusError as error: print(error)\n gc.collect()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no such file or directory\n" * 3), done.stderr
