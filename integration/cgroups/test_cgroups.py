"""cgroups: a container's placement and limits. Read from the files of the host's own hierarchies."""

import glob
import os
from pathlib import Path
from typing import Any

import pytest

from harness import Box, cgroups_of, wait_for
from limits import has_controller, hierarchies, limit, value, weight

MIB = 1 << 20


def resources(**sections: Any) -> Any:
    return lambda config: config["linux"]["resources"].update(sections)


def test_limits(box: Box) -> None:
    name = box.start(
        "sleep 100",
        resources(
            memory={"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB},
            cpu={"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
            pids={"limit": 33},
        ),
    )
    assert limit(name, "memory.max") == limit(name, "memory.swap.max") == str(64 * MIB)
    assert limit(name, "memory.low") == str(32 * MIB)
    assert limit(name, "cpu.weight") == weight(512)
    assert limit(name, "cpu.max") == "50000 100000"
    assert value(name, "cpuset.cpus") == "0" and value(name, "pids.max") == "33"


def test_the_process_is_in_all_of_them(box: Box) -> None:
    name = box.start()
    pid = box.state(name)["pid"]
    paths = [line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    mounted = [path for path in paths if path.endswith(name)]
    assert len(mounted) == len(cgroups_of(name))


@pytest.mark.parametrize("form", ["/{0}-top/{1}", "{0}-rel/{1}"])
def test_cgroups_path(box: Box, form: str) -> None:
    name = f"pyrunc-test-{os.getpid()}"
    path = form.format(name, "x")
    identity = box.start("sleep 100", lambda c: c["linux"].update(cgroupsPath=path))
    lines = Path(f"/proc/{box.state(identity)['pid']}/cgroup").read_text().splitlines()
    found = {line.split(":")[1]: line.split(":", 2)[2] for line in lines}
    assert all(cgroup.endswith(path) for cgroup in found.values())
    if path.startswith("/"):
        assert set(found.values()) == {path}
    box.ok("delete", "--force", identity)
    for directory in cgroups_of(f"{name}-*"):
        os.rmdir(directory)  # pyrunc leaves the parents to the caller, as runc does


def test_a_path_cannot_climb_out(box: Box) -> None:
    up = f"pyrunc-test-{os.getpid()}-up"
    name = box.start("sleep 100", lambda c: c["linux"].update(cgroupsPath=f"/../../../{up}"))
    found = [top / up for top in hierarchies() if (top / up).is_dir()]
    assert found
    box.ok("delete", "--force", name)
    assert not any(path.exists() for path in found)


def test_memory_limit_holds(box: Box) -> None:
    done = box.run(
        "head -c 200m /dev/zero | tail -c 100m | wc -c; echo survived",
        resources(memory={"limit": 20 * MIB, "swap": 20 * MIB}),
    )
    assert str(100 * MIB) not in done.stdout


@pytest.mark.parametrize("verb", ["run", "create"])
def test_too_small_a_memory_limit_is_named(box: Box, verb: str) -> None:
    bundle = box.bundle(["true"], resources(memory={"limit": 8192, "swap": 8192}))
    done = box.call(verb, "-b", str(bundle), box.new_id())
    assert done.returncode == 1 and not box.leftovers()
    assert "linux.resources.memory.limit: 8192: " in done.stderr and "OOM-killed" in done.stderr


def test_the_set_up_needs_little_of_what_is_limited(box: Box) -> None:
    """The kernel's memory for a new container's namespaces is not charged to the container."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["resources"] = {"memory": {"limit": 384 << 10}, "pids": {"limit": 1}}

    box.out(["/bin/true"], change)


def test_pids_limit_holds(box: Box) -> None:
    done = box.run("i=0; while [ $i -lt 40 ]; do sleep 3 & i=$((i+1)); done; echo all", resources(pids={"limit": 10}))
    assert "all\n" not in done.stdout and "an't fork" in done.stderr


def test_devices_are_denied_unless_allowed(box: Box) -> None:
    """The mode of /dev/fuse lets every user open it, so that only the cgroup can deny it."""

    def change(config: dict[str, Any]) -> None:
        numbers = {"type": "c", "major": 10, "minor": 229}
        config["linux"]["devices"] = [{"path": "/dev/fuse", "fileMode": 0o666, **numbers}]
        rules = [{"allow": False, "access": "rwm"}]
        if allow:
            rules.append({"allow": True, "access": allow, **numbers})
        config["linux"]["resources"]["devices"] = rules

    script = "(: </dev/fuse) 2>/dev/null && echo r; (: >/dev/fuse) 2>/dev/null && echo w; : >/dev/null && echo null"
    for allow, expected in (("", ["null"]), ("r", ["r", "null"]), ("rwm", ["r", "w", "null"])):
        assert box.run(script, change).stdout.split() == expected


def test_missing_controller_is_named(box: Box) -> None:
    if has_controller("rdma"):
        pytest.skip("this host has the rdma controller")
    done = box.run("true", resources(rdma={"mlx": {"hcaHandles": 1}}))
    assert done.returncode == 1
    assert done.stderr == "pyrunc: linux.resources.rdma.mlx: the host has no cgroup controller rdma\n"
    assert not box.leftovers()


def test_refused_value_names_file_and_answer(box: Box) -> None:
    done = box.run("true", resources(cpu={"cpus": "4000"}))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.resources.cpu.cpus: ")
    assert not box.leftovers()


def test_hugepages_on_v2_of_a_hybrid_host(box: Box) -> None:
    sizes = [Path(p).name for p in glob.glob("/sys/kernel/mm/hugepages/hugepages-2048kB")]
    if not sizes:
        pytest.skip("this kernel has no 2 MB pages")
    name = box.start("sleep 100", resources(hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MIB}]))
    assert limit(name, "hugetlb.2MB.max") == str(4 * MIB)


def test_update(box: Box) -> None:
    name = box.start("sleep 100", resources(memory={"limit": 32 * MIB, "swap": 32 * MIB}, pids={"limit": 50}))
    box.ok("update", "--memory", "64m", "--memory-swap", "96m", "--cpu-shares", "77", "--pids-limit", "9", name)
    assert (limit(name, "memory.max"), limit(name, "memory.swap.max")) == (str(64 * MIB), str(32 * MIB))
    assert limit(name, "cpu.weight") == weight(77) and limit(name, "pids.max") == "9"
    box.ok(
        "update", "-r", "-", name, input='{"memory": {"limit": 16777216, "swap": 16777216}, "pids": {"limit": null}}'
    )
    assert limit(name, "memory.max") == str(16 * MIB) and limit(name, "pids.max") == "9"
    box.ok("update", "--pids-limit", "-1", "--memory", "-1", "--memory-swap", "-1", name)
    assert value(name, "pids.max") == "max"
    refused = box.call("update", "--cpuset-cpus", "4000", name)
    assert refused.returncode == 1 and "cpu.cpus" in refused.stderr


def test_events(box: Box) -> None:
    import json

    name = box.start("sleep 100", resources(memory={"limit": 64 * MIB}, pids={"limit": 12}))
    event = json.loads(box.ok("events", "--stats", name))
    assert (event["type"], event["id"]) == ("stats", name)
    data = event["data"]
    assert data["memory"]["usage"]["limit"] == 64 * MIB and 0 < data["memory"]["usage"]["usage"] < 64 * MIB
    assert data["pids"] == {"current": 1, "limit": 12}
    assert data["cpu"]["usage"]["total"] > 0


def test_out_of_memory_is_told(box: Box) -> None:
    import json
    import subprocess

    from harness import PYRUNC

    script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; head -c 100m /dev/zero | tail -c 90m >/dev/null; sleep 100"

    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        resources(memory={"limit": 16 * MIB, "swap": 16 * MIB})(config)

    name = box.start(script, change)
    command = [PYRUNC, "--root", str(box.root), "events", "--interval", "100ms", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "stats"
        box.ok("exec", name, "touch", "/tmp/go")
        try:
            kinds = (json.loads(line)["type"] for line in process.stdout)
            assert any(kind == "oom" for kind, _ in zip(kinds, range(100), strict=False))
        finally:
            process.kill()


def test_exec_joins_them(box: Box) -> None:
    name = box.start("sleep 100")
    out = box.ok("exec", name, "sh", "-c", "exec sleep 0.01; true")
    assert out == ""
    wait_for(lambda: value(name, "pids.current") == "1", "exec's process to be gone")
    assert int(limit(name, "memory.current")) > 0
