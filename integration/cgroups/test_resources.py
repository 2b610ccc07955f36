"""linux.resources beyond memory, cpu and pids: block io, network, huge pages, rdma, v2's own files, devices on v2."""

import glob
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from test_cgroups import MIB, resources

from harness import Box, cgroups_of, wait_for
from limits import LAYOUT, UNIFIED, io_rate, unified, value
from pyrunc.cgroup.devices import rules
from pyrunc.cgroup.v2 import devices as ebpf
from pyrunc.spec.load import shaped_resources


def disk() -> tuple[int, int]:
    number = os.stat("/").st_dev
    # Limits are of whole disks, not of partitions.
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    major, minor = (path if not (path / "partition").exists() else path.parent).joinpath("dev").read_text().split(":")
    return int(major), int(minor)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttleReadBpsDevice", "rbps"),
        ("throttleWriteBpsDevice", "wbps"),
        ("throttleReadIOPSDevice", "riops"),
        ("throttleWriteIOPSDevice", "wiops"),
    ],
)
def test_rates_of_a_device(box: Box, name: str, kind: str) -> None:
    major, minor = disk()
    limit = {name: [{"major": major, "minor": minor, "rate": 5000}]}
    assert io_rate(box.start("sleep 100", resources(blockIO=limit)), kind, f"{major}:{minor}") == "5000"


def test_a_device_that_is_not_there(box: Box) -> None:
    limit = {"throttleReadBpsDevice": [{"major": 250, "minor": 250, "rate": 5000}]}
    done = box.run("true", resources(blockIO=limit))
    assert done.returncode == 1
    text = "250:250 rbps=5000" if LAYOUT == "v2" else "250:250 5000"
    assert done.stderr.startswith(f"pyrunc: linux.resources.blockIO.throttleReadBpsDevice[0]: write '{text}' to ")
    assert not box.leftovers()


@pytest.mark.parametrize("kind", ["weight", "leafWeight", "weightDevice"])
def test_weights(box: Box, kind: str) -> None:
    """Which weights a kernel supports depends on its schedulers; an unsupported one is named in the error."""
    major, minor = disk()
    block: Any = (
        {"weightDevice": [{"major": major, "minor": minor, "weight": 300}]} if kind == "weightDevice" else {kind: 300}
    )
    done = box.run("sleep 0", resources(blockIO=block))
    if done.returncode:
        assert done.stderr.startswith(f"pyrunc: linux.resources.blockIO.{kind}")
        assert "the host's kernel has no blkio." in done.stderr or "write " in done.stderr
        assert not box.leftovers()
        return
    name = box.start("sleep 100", resources(blockIO=block))
    if LAYOUT == "v2":
        if kind == "weight":  # v2 has no weight of leaves; which disks have one depends on their schedulers
            assert (unified(name) / "io.weight").read_text() == "default 2930\n"
        return
    assert "300" in value(name, f"blkio.bfq.weight{'_device' if kind == 'weightDevice' else ''}")


def test_network_class_and_priority(box: Box) -> None:
    network = {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 7}]}
    if LAYOUT == "v2":
        done = box.run("true", resources(network=network))
        assert done.returncode == 0 and done.stderr.count("cgroup v2 has nothing for it; it is ignored") == 2
        return
    if not any("net_cls" in line for line in Path("/proc/self/cgroup").read_text().splitlines()):
        done = box.run("true", resources(network={"classID": 1}))
        assert done.stderr == "pyrunc: linux.resources.network.classID: the host has no cgroup controller net_cls\n"
        done = box.run("true", resources(network={"priorities": network["priorities"]}))
        assert (
            done.stderr == "pyrunc: linux.resources.network.priorities[0]: the host has no cgroup controller net_prio\n"
        )
        assert not box.leftovers()
        return
    name = box.start("sleep 100", resources(network=network))
    assert value(name, "net_cls.classid") == str(0x100001)
    assert "lo 7" in value(name, "net_prio.ifpriomap").splitlines()


def test_reserved_huge_pages_are_limited_as_well(box: Box) -> None:
    if not Path("/sys/kernel/mm/hugepages/hugepages-2048kB").exists():
        pytest.skip("this kernel has no 2 MB pages")
    name = box.start("sleep 100", resources(hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MIB}]))
    kinds = ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes")
    found = [Path(d, kind).read_text().strip() for d in cgroups_of(name) for kind in kinds if Path(d, kind).exists()]
    assert found == [str(4 * MIB)] * 2


def test_a_page_size_that_the_kernel_has_not(box: Box) -> None:
    done = box.run("true", resources(hugepageLimits=[{"pageSize": "3MB", "limit": 1}]))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.resources.hugepageLimits[0]: ")
    assert "hugetlb.3MB" in done.stderr and not box.leftovers()


def test_files_of_v2(box: Box) -> None:
    if LAYOUT == "v1":
        pytest.skip("no v2 hierarchy here")
    name = box.start("sleep 100", resources(unified={"cgroup.max.descendants": "5"}))
    assert (unified(name) / "cgroup.max.descendants").read_text() == "5\n"
    done = box.run("true", resources(unified={"memory.high": "1000000"}))
    if done.returncode:
        assert (
            done.stderr
            == "pyrunc: linux.resources.unified.memory.high: the host has no cgroup controller memory on v2\n"
        )


def test_memory_knobs_of_v1(box: Box) -> None:
    if not glob.glob("/sys/fs/cgroup/memory/memory.swappiness"):
        pytest.skip("no v1 memory controller here")
    wanted = {"limit": 64 * MIB, "swappiness": 10, "disableOOMKiller": True, "kernelTCP": 8 * MIB, "kernel": 32 * MIB}
    name = box.start("sleep 100", resources(memory={**wanted, "useHierarchy": True}))
    assert value(name, "memory.swappiness") == "10" and "oom_kill_disable 1" in value(name, "memory.oom_control")
    assert value(name, "memory.kmem.tcp.limit_in_bytes") == str(8 * MIB)


def test_more_swap_than_none_is_refused(box: Box) -> None:
    done = box.run("true", resources(memory={"limit": 64 * MIB, "swap": 32 * MIB}))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.resources.memory.swap: ")


NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "fuse": (10, 229)}


@pytest.fixture
def nodes() -> Iterator[Path]:
    with TemporaryDirectory(dir="/var/tmp") as place:  # systemd mounts /tmp nodev
        for name, numbers in NODES.items():
            os.mknod(Path(place, name), stat.S_IFCHR | 0o666, os.makedev(*numbers))
        yield Path(place)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A separate v2 cgroup to which the eBPF program of device rules is attached."""
    if LAYOUT == "v1":
        pytest.skip("no v2 hierarchy here")
    path = UNIFIED / f"pyrunc-test-{os.getpid()}-devices"
    path.mkdir()
    yield path
    wait_for(lambda: (path / "cgroup.procs").read_text() == "", "the cgroup to be empty")
    path.rmdir()


@pytest.mark.parametrize(
    ("given", "readable"),
    [
        ([], {"null", "zero", "full", "random"}),  # the defaults
        ([{"allow": True}], set(NODES)),
        (
            [{"allow": True}, {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "r"}],
            {"null", "zero", "full", "random"},
        ),
        (
            [{"allow": False}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
            set(NODES),
        ),
        ([{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "w"}], {"null", "zero", "full", "random"}),
    ],
)
def test_device_rules_on_a_real_v2_cgroup(cgroup: Path, nodes: Path, given: list[Any], readable: set[str]) -> None:
    """test_cgroups.py tests the same lists on v1. The host's own v1 rules apply here as well."""
    try:
        ebpf.apply(str(cgroup), rules(shaped_resources({"devices": given})))
    except PermissionError:
        pytest.skip("bpf(2) is not allowed here")
    script = f"echo $$ > {cgroup}/cgroup.procs; cd {nodes}; for n in *; do (: < $n) 2>/dev/null && echo $n; done; true"
    found = set(subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split())
    assert found == readable


def test_a_second_program_takes_the_place_of_the_first(cgroup: Path, nodes: Path) -> None:
    """update: all programs of a cgroup must allow an access, so the old program has to be detached."""
    script = f"echo $$ > {cgroup}/cgroup.procs; : < {nodes}/fuse"
    for given, allowed in (([], False), ([{"allow": True}], True), ([], False)):
        try:
            ebpf.apply(str(cgroup), rules(shaped_resources({"devices": given})))
        except PermissionError:
            pytest.skip("bpf(2) is not allowed here")
        done = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
        assert (done.returncode == 0) == allowed
