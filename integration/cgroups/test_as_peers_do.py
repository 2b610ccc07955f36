"""cgroups that other programs made or changed, and empty values: pyrunc handles them as runc does."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers import also_on
from test_cgroups import resources

from harness import Box, cgroups_of, wait_for
from limits import UNIFIED, value

CPUSET = Path("/sys/fs/cgroup/cpuset")


@pytest.fixture
def parent() -> Iterator[str]:
    """The name of a cgroup at the top of the hierarchies that a test may make; removed with all cgroups below it."""
    name = f"dropin-{os.getpid()}"
    yield name
    for top in map(Path, cgroups_of(name)):
        for directory, _, _ in os.walk(top, topdown=False):
            os.rmdir(directory)


@also_on("runc", "runc>=1.5")
def test_a_tun_device_may_be_opened_though_no_rule_allows_it(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["devices"] = [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]
        config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}]

    done = box.run("exec 3<>/dev/net/tun", change)
    assert "Operation not permitted" not in done.stderr, done.stderr


@also_on("runc>=1.5")
@pytest.mark.parametrize("depth", [1, 3])
def test_empty_cpusets_above_a_container_are_filled(box: Box, parent: str, depth: int) -> None:
    """A new cpuset has neither CPUs nor memory nodes, so no process can be placed below it (cpuset(7))."""
    if not CPUSET.is_dir():
        pytest.skip("this host has no v1 cpuset hierarchy")
    above = "/".join([parent, *"abc"[: depth - 1]])
    (CPUSET / above).mkdir(parents=True)
    name = box.start("sleep 100", lambda config: config["linux"].update(cgroupsPath=f"/{above}/c"))
    pid = box.state(name)["pid"]
    for directory in (CPUSET / above, CPUSET / above / "c"):
        for file in ("cpuset.cpus", "cpuset.mems"):
            assert (directory / file).read_text() == (CPUSET / file).read_text()
    assert str(pid) in (CPUSET / above / "c" / "cgroup.procs").read_text().split()
    box.ok("delete", "--force", name)


@also_on("runc>=1.5")
def test_what_a_user_gave_a_cpuset_above_stays(box: Box, parent: str) -> None:
    if not CPUSET.is_dir():
        pytest.skip("this host has no v1 cpuset hierarchy")
    (CPUSET / parent).mkdir()
    (CPUSET / parent / "cpuset.cpus").write_text("0")
    name = box.start("sleep 100", lambda config: config["linux"].update(cgroupsPath=f"/{parent}/c"))
    assert (CPUSET / parent / "c" / "cpuset.cpus").read_text() == "0\n"
    assert (CPUSET / parent / "cpuset.mems").read_text() == (CPUSET / "cpuset.mems").read_text()
    box.ok("delete", "--force", name)


@also_on("runc>=1.5")
@pytest.mark.parametrize(
    ("shares", "words"),
    [(1, "the minimum allowed cpu-shares is 2"), (262145, "the maximum allowed cpu-shares is 262144")],
)
def test_shares_that_the_kernel_does_not_take_are_refused_in_the_words_that_engines_read(
    box: Box, shares: int, words: str
) -> None:
    if not Path("/sys/fs/cgroup/cpu/cpu.shares").exists():
        pytest.skip("this host has no v1 cpu controller")
    done = box.run("true", resources(cpu={"shares": shares}))
    assert done.returncode == 1 and words in done.stderr and not box.leftovers()


@also_on("runc>=1.5")
@pytest.mark.parametrize(
    "given",
    [
        {"memory": {"swappiness": 18446744073709551615}},
        {"network": {"classID": 0}},
        {"network": {"classID": 0, "priorities": []}},
        {"memory": {"limit": 0, "swap": 0, "reservation": 0}},
        {"cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}},
        {"blockIO": {"weight": 0, "leafWeight": 0, "weightDevice": []}},
    ],
    ids=str,
)
def test_a_value_that_says_nothing_is_none(box: Box, given: dict[str, Any]) -> None:
    assert box.out("echo on", resources(**given)) == "on\n"


@also_on("runc>=1.5")
def test_the_weight_of_block_io_goes_into_the_file_that_the_kernel_has(box: Box, parent: str) -> None:
    """The top cgroup has no file of weights; the cgroups below show which file the kernel has."""
    probe = Path("/sys/fs/cgroup/blkio") / parent
    if not probe.parent.is_dir():
        pytest.skip("this host has no v1 blkio hierarchy")
    probe.mkdir()
    file = next((name for name in ("blkio.weight", "blkio.bfq.weight") if (probe / name).exists()), None)
    if file is None:
        pytest.skip("this kernel has neither CFQ's nor BFQ's weights")
    assert value(box.start("sleep 100", resources(blockIO={"weight": 300})), file) == "300"


def of_v2(box: Box, name: str) -> str:
    """Returns the v2 cgroup of a process that exec starts."""
    lines = box.ok("exec", name, "cat", "/proc/self/cgroup").splitlines()
    return next(line.removeprefix("0::") for line in lines if line.startswith("0::"))


def shown(config: dict[str, Any], path: str) -> None:
    """Places the container's cgroups below ``path``, without a cgroup namespace."""
    config["linux"]["cgroupsPath"] = path
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]


needs_v2 = pytest.mark.skipif(not (UNIFIED / "cgroup.procs").exists(), reason="no v2 hierarchy here")


@needs_v2
@also_on("runc>=1.5")
def test_exec_into_a_container_whose_init_moved_to_a_cgroup_below(box: Box, parent: str) -> None:
    name = box.start("sleep 100", lambda config: shown(config, f"/{parent}/c"))
    for directory in map(Path, cgroups_of(f"{parent}/c")):
        if directory.parent.parent.name == "cpuset":
            continue  # an empty one takes no process
        (directory / "below").mkdir()
        (directory / "below" / "cgroup.procs").write_text(str(box.state(name)["pid"]))
    assert box.ok("exec", name, "echo", "in") == "in\n"
    box.ok("delete", "--force", name)


@needs_v2
def test_exec_into_a_container_whose_v2_cgroup_was_removed(box: Box, parent: str) -> None:
    """Init was moved to another cgroup, as systemd's clean-up or a supervisor does: exec joins init there."""
    name = box.start("sleep 100", lambda config: shown(config, f"/{parent}/c"))
    (UNIFIED / parent / "elsewhere").mkdir()
    (UNIFIED / parent / "elsewhere" / "cgroup.procs").write_text(str(box.state(name)["pid"]))
    wait_for(lambda: not (UNIFIED / parent / "c" / "cgroup.procs").read_text(), "the cgroup to be empty")
    (UNIFIED / parent / "c").rmdir()
    assert of_v2(box, name) == f"/{parent}/elsewhere"
    box.ok("delete", "--force", name)


@needs_v2
def test_exec_into_a_container_with_threaded_children(box: Box, parent: str) -> None:
    name = box.start("sleep 100", lambda config: shown(config, f"/{parent}/c"))
    (UNIFIED / parent / "c" / "threads").mkdir()
    (UNIFIED / parent / "c" / "threads" / "cgroup.type").write_text("threaded")
    assert of_v2(box, name) == f"/{parent}/c"
    box.ok("delete", "--force", name)


@needs_v2
def test_exec_into_a_container_whose_cgroup_became_threaded(box: Box, parent: str) -> None:
    """A threaded cgroup's cgroup.procs cannot be read, but can be written (cgroup-v2.rst, "Threads")."""
    name = box.start("sleep 100", lambda config: shown(config, f"/{parent}/c"))
    pid = str(box.state(name)["pid"])
    control = UNIFIED / parent / "cgroup.subtree_control"
    control.write_text(" ".join(f"-{each}" for each in control.read_text().split()))  # threads cannot have these
    (UNIFIED / parent / "cgroup.procs").write_text(pid)  # a cgroup with processes cannot become threaded
    (UNIFIED / parent / "c" / "cgroup.type").write_text("threaded")
    (UNIFIED / parent / "c" / "cgroup.threads").write_text(pid)
    assert of_v2(box, name) == f"/{parent}/c"
    box.ok("delete", "--force", name)
    assert not cgroups_of(name)


@needs_v2
def test_exec_into_a_container_that_has_handed_its_controllers_on(box: Box, parent: str) -> None:
    """A v2 cgroup that enables controllers for its children takes no process (EBUSY): exec joins init's cgroup."""
    name = box.start("sleep 100", lambda config: shown(config, f"/{parent}/c"))
    own = UNIFIED / parent / "c"
    given = (own / "cgroup.controllers").read_text().split()
    if not given:
        pytest.skip("all controllers are on v1 here")
    (own / "below").mkdir()
    (own / "below" / "cgroup.procs").write_text(str(box.state(name)["pid"]))
    wait_for(lambda: not (own / "cgroup.procs").read_text(), "the cgroup to be empty")
    (own / "cgroup.subtree_control").write_text(f"+{given[0]}")
    with pytest.raises(OSError, match="busy"):
        (own / "cgroup.procs").write_text(str(os.getpid()))
    assert of_v2(box, name) == f"/{parent}/c/below"
    box.ok("delete", "--force", name)


@needs_v2
def test_exec_into_a_container_whose_cgroup_is_no_valid_domain(box: Box, parent: str) -> None:
    """A threaded sibling makes the cgroup invalid for processes (EOPNOTSUPP): exec joins init in its new cgroup."""
    name = box.start("sleep 100", lambda config: shown(config, f"/{parent}/c"))
    control = UNIFIED / parent / "cgroup.subtree_control"
    control.write_text(" ".join(f"-{each}" for each in control.read_text().split()))  # threads cannot have these
    (UNIFIED / parent / "cgroup.procs").write_text(str(box.state(name)["pid"]))
    (UNIFIED / parent / "beside").mkdir()
    (UNIFIED / parent / "beside" / "cgroup.type").write_text("threaded")
    with pytest.raises(OSError, match="not supported"):
        (UNIFIED / parent / "c" / "cgroup.procs").write_text(str(os.getpid()))
    assert of_v2(box, name) == f"/{parent}"
    box.ok("delete", "--force", name)
