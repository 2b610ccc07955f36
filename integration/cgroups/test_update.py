"""`update`: limits of a running container, read from the host's own files."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_cgroups import MIB, resources

from harness import Box, cgroups_of
from limits import LAYOUT, has_controller, io_rate, limit, value, weight


def config_of(box: Box, name: str) -> dict[str, Any]:
    """Returns the container's resources in its stored config."""
    found: dict[str, Any] = json.loads((box.root / name / "state.json").read_text())["config"]["linux"]["resources"]
    return found


def started(box: Box, **sections: Any) -> str:
    return box.start("sleep 100", resources(**sections))


LIMITS = ("memory.max", "memory.swap.max")


@pytest.mark.parametrize(
    ("memory", "swap"), [(64, 96), (200, 300), (16, 24), (16, 300), (64, 64), (-1, -1), (64, -1), (16, 16)]
)
def test_memory_and_swap_in_the_order_that_the_kernel_takes(box: Box, memory: int, swap: int) -> None:
    """The kernel refuses a memory limit above memsw's and a memsw limit below memory's: the order of writes matters."""
    name = started(box, memory={"limit": 64 * MIB, "swap": 96 * MIB})
    words = [str(n) if n < 0 else f"{n}m" for n in (memory, swap)]
    box.ok("update", "--memory", words[0], "--memory-swap", words[1], name)
    wanted = ("max" if memory < 0 else str(memory * MIB), "max" if swap < 0 else str((swap - memory) * MIB))
    assert tuple(limit(name, file) for file in LIMITS) == wanted
    assert config_of(box, name)["memory"] == {
        key: n if n < 0 else n * MIB for key, n in (("limit", memory), ("swap", swap))
    }


def test_a_lifted_memory_limit_lifts_swap(box: Box) -> None:
    name = started(box, memory={"limit": 64 * MIB, "swap": 96 * MIB})
    box.ok("update", "--memory", "-1", name)
    assert [limit(name, file) for file in LIMITS] == ["max", "max"]
    assert config_of(box, name)["memory"] == {"limit": -1, "swap": -1}


def test_what_is_not_given_stays(box: Box) -> None:
    name = started(box, memory={"limit": 64 * MIB, "reservation": 32 * MIB}, pids={"limit": 20}, cpu={"shares": 300})
    box.ok("update", "--memory", "0", "--cpu-share", "0", "--memory-reservation", "48m", name)
    box.ok("update", "-r", "-", name, input='{"memory": {"limit": 0}, "cpu": {"shares": 0}, "pids": {}}')
    assert limit(name, "memory.max") == str(64 * MIB)
    assert limit(name, "memory.low") == str(48 * MIB)
    assert (limit(name, "pids.max"), limit(name, "cpu.weight")) == ("20", weight(300))


def test_no_process_more_is_a_limit(box: Box) -> None:
    """runtime-spec 1.3: pids.limit 0 is a limit, not "no limit"; runc writes 1, because systemd does not accept 0."""
    name = started(box, pids={"limit": 20})
    box.ok("update", "--pids-limit", "0", name)
    assert limit(name, "pids.max") == "1" and config_of(box, name)["pids"] == {"limit": 0}
    other = started(box, pids={"limit": 0})
    assert value(other, "pids.max") == "1"


@pytest.mark.parametrize(
    ("words", "quota", "period"),
    [
        (["--cpu-quota", "20000"], "20000", "100000"),
        (["--cpu-period", "200000"], "50000", "200000"),
        (["--cpu-period", "40000", "--cpu-quota", "80000"], "80000", "40000"),
        (["--cpu-quota", "-1"], "max", "100000"),
    ],
)
def test_quota_and_period(box: Box, words: list[str], quota: str, period: str) -> None:
    name = started(box, cpu={"quota": 50000, "period": 100000})
    box.ok("update", *words, name)
    assert limit(name, "cpu.max") == f"{quota} {period}"


def test_burst_goes_with_the_quota(box: Box) -> None:
    """A burst cannot exceed the quota: the old quota, or the one in the same update."""
    name = started(box, cpu={"quota": 50000, "period": 100000, "burst": 10000})
    assert limit(name, "cpu.max.burst") == "10000"
    box.ok("update", "--cpu-quota", "80000", "--cpu-burst", "70000", name)
    assert limit(name, "cpu.max.burst") == "70000"
    box.ok("update", "--cpu-quota", "20000", "--cpu-burst", "5000", name)
    assert (limit(name, "cpu.max"), limit(name, "cpu.max.burst")) == ("20000 100000", "5000")
    box.ok("update", "--cpu-burst", "0", name)
    assert limit(name, "cpu.max.burst") == "0"


def test_cpu_idle(box: Box) -> None:
    name = started(box)
    box.ok("update", "--cpu-idle", "1", name)
    assert value(name, "cpu.idle") == "1"
    assert "invalid argument" in box.call("update", "--cpu-share", "512", name).stderr  # the kernel's rule
    box.ok("update", "--cpu-idle", "0", "--cpu-share", "512", name)
    assert (limit(name, "cpu.idle"), limit(name, "cpu.weight")) == ("0", weight(512))


def test_cpuset(box: Box) -> None:
    name = started(box)
    box.ok("update", "--cpuset-cpus", "0", "--cpuset-mems", "0", name)
    assert (value(name, "cpuset.cpus"), value(name, "cpuset.mems")) == ("0", "0")
    inside = box.ok("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status")
    assert inside.split() == ["Cpus_allowed_list:", "0"]


def test_a_refused_write_leaves_everything_as_it_was(box: Box) -> None:
    name = started(box, memory={"limit": 64 * MIB, "swap": 96 * MIB}, cpu={"shares": 300})
    before = config_of(box, name)
    files = [*LIMITS, "cpu.weight", "cpu.max", "pids.max"]
    had = [limit(name, file) for file in files]
    device = next(line.split()[:3] for line in Path("/proc/diskstats").read_text().splitlines())
    rate = {"major": int(device[0]), "minor": int(device[1]), "rate": 1 << 20}
    changes = {
        "memory": {"limit": 200 * MIB, "swap": 300 * MIB},
        "cpu": {"shares": 77, "quota": 20000, "cpus": "4000"},
        "pids": {"limit": 9},
        "blockIO": {"throttleReadBpsDevice": [rate]},
    }
    done = box.call("update", "-r", "-", name, input=json.dumps(changes))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.resources.cpu.cpus: write '4000' to cpuset.c")
    assert [limit(name, file) for file in files] == had and io_rate(name, "rbps", ":".join(device[:2])) == "max"
    assert config_of(box, name) == before
    del changes["cpu"]["cpus"]  # the same without the wrong value
    box.ok("update", "-r", "-", name, input=json.dumps(changes))
    assert io_rate(name, "rbps", ":".join(device[:2])) == str(1 << 20)
    assert config_of(box, name)["pids"] == {"limit": 9}


def test_below_what_is_used(box: Box) -> None:
    name = box.start("head -c 20m /dev/zero | tail -c 19m; sleep 100", resources(memory={"limit": 64 * MIB}))
    box.ok("exec", name, "sh", "-c", "cat /proc/self/maps > /dev/null")
    done = box.call("update", "--memory", "4k", "--memory-check-before-update", name)
    assert done.returncode == 1
    assert done.stderr.startswith("pyrunc: linux.resources.memory.limit: rejecting 4096: ")
    assert limit(name, "memory.max") == str(64 * MIB)
    if LAYOUT == "v2":
        return  # the kernel takes it and kills, hence the option
    done = box.call("update", "--memory", "4k", name)
    assert done.returncode == 1 and "unable to set memory limit to 4096 (current usage: " in done.stderr
    assert limit(name, "memory.max") == str(64 * MIB)


@pytest.mark.parametrize(
    ("words", "field", "file"),
    [
        (["--cpu-rt-period", "1000000"], "cpu.realtimePeriod", "cpu.rt_period_us"),
        (["--cpu-rt-runtime", "1000"], "cpu.realtimeRuntime", "cpu.rt_runtime_us"),
    ],
)
def test_what_this_kernel_may_not_have(box: Box, words: list[str], field: str, file: str) -> None:
    name = started(box)
    done = box.call("update", *words, name)
    if LAYOUT == "v2":
        assert done.returncode == 0 and f"{field}: cgroup v2 has nothing for it; it is ignored" in done.stderr
    elif done.returncode == 0:
        assert value(name, file)
    else:
        assert done.stderr.startswith(f"pyrunc: linux.resources.{field}: ") and file in done.stderr


def test_weight_of_block_io(box: Box) -> None:
    """BFQ's file if BFQ is the scheduler, CFQ's on a kernel before 5.0."""
    name = started(box)
    done = box.call("update", "--blkio-weight", "500", name)
    if done.returncode:
        assert (
            done.stderr
            == "pyrunc: linux.resources.blockIO.weight: the host's kernel has no blkio.weight (neither CFQ nor BFQ)\n"
        )
        pytest.skip("this kernel has no weight of block io: its absence was told")
    names, stored = (["io.weight"], "default 4950") if LAYOUT == "v2" else (["blkio.weight", "blkio.bfq.weight"], "500")
    files = [Path(d, file) for d in cgroups_of(name) for file in names]
    assert [file.read_text().strip() for file in files if file.exists()] == [stored]


def test_a_file_of_resources_and_what_is_none(box: Box) -> None:
    name = started(box, pids={"limit": 20})
    file = box.directory / "resources.json"
    file.write_text('{"pids": {"limit": 8}}')
    box.ok("update", "--resources", str(file), "--pids-limit", "5", name)  # the file overrides the option
    assert limit(name, "pids.max") == "8"
    for text, words in (("{", "resources"), ("[]", "must be an object"), ('{"pids": {"limit": "x"}}', "pids.limit")):
        done = box.call("update", "-r", "-", name, input=text)
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
    assert limit(name, "pids.max") == "8"


@pytest.mark.parametrize("option", ["--memory=x", "--memory=1.2.3m", "--pids-limit=many", "--cpu-quota=1e5"])
def test_values_that_are_none(box: Box, option: str) -> None:
    done = box.call("update", option, "whatever")
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_sizes(box: Box) -> None:
    name = started(box)
    for text, wanted in (("64m", 64 * MIB), ("65536K", 64 * MIB), ("0.5g", 512 * MIB), ("134217728", 128 * MIB)):
        box.ok("update", "--memory", text, "--memory-swap", "-1", name)
        assert limit(name, "memory.max") == str(wanted)


def test_device_rules(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]

    name = box.start("sleep 100", change)
    look = ("exec", name, "sh", "-c", ": < /dev/fuse")
    assert box.call(*look).returncode != 0
    rules = [{"allow": False}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]
    box.ok("update", "-r", "-", name, input=json.dumps({"devices": rules}))
    assert box.call(*look).returncode == 0
    assert box.call("exec", name, "sh", "-c", ": > /dev/null").returncode == 0


def test_a_stopped_one_has_no_limits(box: Box) -> None:
    name = box.start("true")
    box.await_status(name, "stopped")
    done = box.call("update", "--pids-limit", "9", name)
    assert done.returncode == 1 and "container not running" in done.stderr


def test_a_paused_one_has(box: Box) -> None:
    name = started(box)
    box.ok("pause", name)
    box.ok("update", "--pids-limit", "9", name)
    assert limit(name, "pids.max") == "9" and box.state(name)["status"] == "paused"


def test_old_options_are_taken(box: Box) -> None:
    if not has_controller("memory") or LAYOUT == "v2":
        pytest.skip("kernel memory is v1's")
    name = started(box)
    box.ok("update", "--kernel-memory", "32m", "--kernel-memory-tcp", "8m", name)
    assert value(name, "memory.kmem.tcp.limit_in_bytes") == str(8 * MIB)
