"""Which files of a cgroup hold a setting, and what is written to restore their values."""

import pytest

from pyrunc.hostile.settings import is_setting, order, value_of, writes


@pytest.mark.parametrize(
    "name",
    [
        *("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.shares", "cgroup.subtree_control", "cgroup.pressure"),
        *(
            "notify_on_release",
            "devices.list",
            "freezer.state",
            "cgroup.freeze",
            "io.max",
            "cpuset.cpus",
            "cgroup.type",
        ),
    ],
)
def test_what_a_library_can_set_is_compared(name: str) -> None:
    assert is_setting(name)


@pytest.mark.parametrize(
    "name", ["cgroup.procs", "tasks", "cgroup.kill", "memory.stat", "memory.current", "pids.peak", "cpu.pressure"]
)
def test_what_holds_no_setting_is_not_opened(name: str) -> None:
    assert not is_setting(name)


@pytest.mark.parametrize(
    ("name", "now", "wanted", "written"),
    [
        ("pids.max", "max", "50", [("pids.max", "50")]),
        ("cpuset.cpus", "0", "", [("cpuset.cpus", "\n")]),
        ("devices.list", "a *:* rwm", "c 1:3 rwm", [("devices.deny", "a"), ("devices.allow", "c 1:3 rwm")]),
        ("devices.list", "c 1:3 rwm", "a *:* rwm", [("devices.allow", "a")]),
        (
            "devices.list",
            "c 1:3 rw\nc 1:9 rwm",
            "c 1:3 rwm",
            [("devices.allow", "c 1:3 m"), ("devices.deny", "c 1:9 rwm")],
        ),
        (
            "cgroup.subtree_control",
            "cpu io",
            "cpu memory",
            [("cgroup.subtree_control", "+memory"), ("cgroup.subtree_control", "-io")],
        ),
        (
            "io.max",
            "8:0 rbps=1 wbps=max riops=max wiops=max",
            "",
            [("io.max", "8:0 rbps=max wbps=max riops=max wiops=max")],
        ),
        (
            "blkio.throttle.read_bps_device",
            "8:0 5",
            "8:16 7",
            [("blkio.throttle.read_bps_device", "8:0 0"), ("blkio.throttle.read_bps_device", "8:16 7")],
        ),
        ("memory.oom_control", "oom_kill_disable 1", "oom_kill_disable 0", [("memory.oom_control", "0")]),
    ],
)
def test_what_is_written(name: str, now: str, wanted: str, written: list[tuple[str, str]]) -> None:
    assert writes(name, now, wanted) == written


def test_counters_beside_a_setting_are_no_difference() -> None:
    assert value_of("memory.oom_control", b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n") == b"oom_kill_disable 0"
    assert value_of("pids.max", b"50\n") == b"50\n"


def test_controllers_are_handed_on_before_their_limits_are_set() -> None:
    paths = ["/c/a/below/memory.max", "/c/a/memory.max", "/c/cgroup.subtree_control", "/c/memory.max"]
    assert sorted(paths, key=order) == [paths[2], paths[3], paths[1], paths[0]]
