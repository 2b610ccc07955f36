"""`events`: statistics with runc's keys, and events of the kernel."""

import json
import os
import select
import subprocess
from pathlib import Path

import pytest
from test_cgroups import MIB, resources
from test_net_devices import Pair, moving, pair  # noqa: F401

from harness import PYRUNC, Box, wait_for
from limits import LAYOUT, UNIFIED, unified, value
from pyrunc.container.events import OutOfMemory


def stats(box: Box, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(box.ok("events", "--stats", name))["data"]
    return found


def test_the_same_keys_as_runc(box: Box) -> None:
    """Readers of runc's events expect only runc's keys; runc omits empty sections."""
    runc = ["runc", "--root", str(box.directory / "runc")]
    bundle = box.bundle("sleep 100", lambda c: (c.update(ociVersion="1.0.2"), resources(pids={"limit": 9})(c)))
    for _ in range(2):  # the first reads runc and the rootfs into the page cache, and has that in its statistics
        name = box.new_id()
        subprocess.run([*runc, "run", "-d", "-b", bundle, name], check=True, stdout=subprocess.DEVNULL, timeout=60)
        try:
            done = subprocess.run([*runc, "events", "--stats", name], capture_output=True, check=True)
            theirs = json.loads(done.stdout)
        finally:
            subprocess.run([*runc, "delete", "--force", name], check=True)
    ours = stats(box, box.start("sleep 100", resources(pids={"limit": 9})))
    if LAYOUT == "v2" and not any(theirs["data"]["memory"].get("kernelTCP", {}).values()):
        theirs["data"]["memory"]["kernelTCP"] = {}  # zeros, which runc 1.5 omits
    missing = [path for path in keys(theirs["data"]) if path not in keys(ours)]
    assert missing == []


def keys(data: object, path: str = "") -> set[str]:
    if not isinstance(data, dict):
        return {path}
    # Older versions of runc write empty sections.
    return {path}.union(*(keys(inner, f"{path}.{name}") for name, inner in data.items() if inner != {}))


def test_values_are_the_cgroups(box: Box) -> None:
    name = box.start("sleep 100", resources(cpu={"cpus": "0", "quota": 50000}, memory={"limit": 64 * MIB}))
    data = stats(box, name)
    assert data["cpuset"]["cpus"] == [0]  # type: ignore[index]
    assert LAYOUT == "v2" or data["cpuset"]["sched_load_balance"] == 1  # type: ignore[index]
    assert data["memory"]["usage"]["limit"] == 64 * MIB  # type: ignore[index]
    assert (
        set(data["hugetlb"])
        == {  # type: ignore[call-overload]
            f"{int(Path(p).name.split('-')[1][:-2]) >> 10}MB"
            if int(Path(p).name.split("-")[1][:-2]) < 1 << 20
            else "1GB"
            for p in Path("/sys/kernel/mm/hugepages").iterdir()
        }
    )
    assert data["intel_rdt"] == {}


def test_pressure(box: Box) -> None:
    name = box.start()
    if LAYOUT == "v1" or not (unified(name) / "cpu.pressure").exists():
        pytest.skip("no v2 cgroup with pressure files here")
    psi = stats(box, name)["cpu"]["psi"]  # type: ignore[index]
    assert set(psi["some"]) == {"avg10", "avg60", "avg300", "total"} and isinstance(psi["some"]["total"], int)


def test_network_interfaces(box: Box, pair: Pair) -> None:  # noqa: F811
    name = box.start("sleep 100", moving(pair, "data0"))
    box.call("exec", name, "ping", "-c", "1", "-W", "1", "10.77.0.9")
    (entry,) = stats(box, name)["network_interfaces"]  # type: ignore[misc]
    assert entry["Name"] == "data0"
    assert set(entry) == {"Name"} | {
        f"{way}{what}" for way in ("Rx", "Tx") for what in ("Bytes", "Packets", "Errors", "Dropped")
    }


def test_an_interval_of_several_units(box: Box) -> None:
    name = box.start()
    command = [PYRUNC, "--root", str(box.root), "events", "--interval", "0m0.05s", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["type"] for _ in range(3)] == ["stats"] * 3
        box.ok("kill", name, "KILL")
        process.stdout.read()
        assert process.wait(10) == 0  # it ends with the container


@pytest.mark.parametrize("interval", ["0s", "5", "-1s", "1 s", "s", "1m30"])
def test_an_interval_that_is_none(box: Box, interval: str) -> None:
    done = box.call("events", "--interval", interval, box.start())
    assert done.returncode == 1 and done.stderr.startswith(f"pyrunc: --interval {interval!r}: ")


def test_of_a_stopped_one(box: Box) -> None:
    name = box.start("true")
    box.await_status(name, "stopped")
    done = box.call("events", "--stats", name)
    assert done.returncode == 1 and "is not running" in done.stderr


def test_a_file_of_v2_wakes_its_reader() -> None:
    """cgroup.events reports changes in the same way as memory.events, and also exists beside v1."""
    if LAYOUT == "v1":
        pytest.skip("no v2 hierarchy here")
    directory = UNIFIED / f"pyrunc-test-{os.getpid()}-watched"
    directory.mkdir()
    sleeper = subprocess.Popen(["sleep", "100"])
    try:
        notices = OutOfMemory({})
        notices.watch(f"{directory}/cgroup.events", "populated")
        poll = select.poll()
        notices.register(poll)
        assert poll.poll(0) == [] and notices.count() == 0
        (directory / "cgroup.procs").write_text(str(sleeper.pid))
        assert poll.poll(5000) and notices.count() == 1
        assert poll.poll(0) == [] and notices.count() == 0
        notices.close()
    finally:
        sleeper.kill()
        sleeper.wait()
        wait_for(lambda: "populated 0" in (directory / "cgroup.events").read_text(), "the cgroup to be empty")
        directory.rmdir()


def test_statistics_while_paused(box: Box) -> None:
    name = box.start()
    box.ok("pause", name)
    assert stats(box, name)["pids"]["current"] == int(value(name, "pids.current"))  # type: ignore[index]
