"""Scheduler, io priority, CPUs, memory policy: checked from inside, by /proc/self and tools."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import Box

CPUS = "grep Cpus_allowed_list /proc/self/status | cut -f2"
SCHEDULING = "cut -d' ' -f19,41 /proc/self/stat"  # nice and policy


def process(**properties: Any) -> Any:
    return lambda config: config["process"].update(properties)


@pytest.mark.parametrize(
    ("scheduler", "seen"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, "7 0"),
        ({"policy": "SCHED_BATCH", "nice": -3}, "-3 3"),
        ({"policy": "SCHED_IDLE"}, "0 5"),
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"], "nice": 2}, "0 0"),  # cut is a child process
    ],
)
def test_scheduler(box: Box, scheduler: dict[str, Any], seen: str) -> None:
    assert box.out(f"{SCHEDULING}; true", process(scheduler=scheduler)).strip() in (seen, seen.replace("0 0", "2 0"))
    name = box.start("sleep 100", process(scheduler=scheduler))
    stat = Path(f"/proc/{box.state(name)['pid']}/stat").read_text().rpartition(")")[2].split()
    assert [stat[16], stat[38]] == [
        str(scheduler.get("nice", 0)),
        {"SCHED_BATCH": "3", "SCHED_IDLE": "5"}.get(scheduler["policy"], "0"),
    ]


@pytest.mark.parametrize(
    "scheduler",
    [
        {"policy": "SCHED_FIFO", "priority": 10},
        {"policy": "SCHED_RR", "priority": 10},
        {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 5000000, "period": 10000000},
    ],
)
def test_real_time_is_given_or_the_kernels_refusal_told(box: Box, scheduler: dict[str, Any]) -> None:
    done = box.run(SCHEDULING, process(scheduler=scheduler))
    if done.returncode:
        assert done.stderr.startswith("pyrunc: process.scheduler: sched_setattr: ")
        assert not box.leftovers()
    else:
        assert done.stdout.split()[1] in ("1", "2", "6")


@pytest.mark.parametrize(
    ("kind", "level", "seen"),
    [
        ("IOPRIO_CLASS_IDLE", 0, "idle"),
        ("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"),
        ("IOPRIO_CLASS_RT", 2, "realtime: prio 2"),
    ],
)
def test_io_priority(box: Box, kind: str, level: int, seen: str) -> None:
    assert seen in box.out("ionice", process(ioPriority={"class": kind, "priority": level}))


@pytest.mark.skipif(os.cpu_count() == 1, reason="one CPU is all that any process may use here")
@pytest.mark.parametrize(
    ("affinity", "seen"), [({"initial": "0", "final": "1"}, "1"), ({"final": "0"}, "0"), ({}, "0-1")]
)
def test_cpus_of_an_execd_process(box: Box, affinity: dict[str, str], seen: str) -> None:
    """config.json sets both for every exec, or exec --process for a single one."""
    limits = {"resources": {"cpu": {"cpus": "0-1"}}}
    name = box.start("sleep 100", lambda c: (process(execCPUAffinity=affinity)(c), c["linux"].update(limits)))
    assert box.ok("exec", name, "sh", "-c", CPUS) == f"{seen}\n"
    (box.directory / "process.json").write_text(
        json.dumps(
            {
                "args": ["sh", "-c", CPUS],
                "cwd": "/",
                "user": {},
                "env": ["PATH=/bin"],
                "execCPUAffinity": {"final": "1"},
            }
        )
    )
    assert box.ok("exec", "--process", "process.json", name) == "1\n"


@pytest.mark.skipif(os.cpu_count() == 1, reason="one CPU is all that any process may use here")
def test_the_initial_cpu_holds_before_the_cgroup_is_joined(box: Box) -> None:
    """Checks the order of the executed steps in the trace."""
    name = box.start("sleep 100", process(execCPUAffinity={"initial": "0", "final": "1"}))
    box.ok("exec", "--trace", "trace", name, "true")
    steps = json.loads((box.directory / "trace").read_text())
    order = [step["where"] for step in steps if step["kind"] in ("affinity", "cgroup-place") and step["ns"] is not None]
    assert order == ["process.execCPUAffinity.initial", "--cgroup", "process.execCPUAffinity.final"]


@pytest.mark.parametrize("cpus", ["x", "3-1", "0,,1", "5000", "1-"])
def test_cpus_that_are_none(box: Box, cpus: str) -> None:
    done = box.run("true", process(execCPUAffinity={"final": cpus}))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: process.execCPUAffinity.final: ")


@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
)
def test_memory_policy(box: Box, policy: dict[str, Any], seen: str) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel shows no memory policies (CONFIG_NUMA)")
    out = box.out("cut -d' ' -f2 /proc/self/numa_maps", lambda c: c["linux"].update(memoryPolicy=policy))
    assert set(out.split()) == {seen}


def test_a_node_that_is_not_there(box: Box) -> None:
    done = box.run("true", lambda c: c["linux"].update(memoryPolicy={"mode": "MPOL_BIND", "nodes": "900"}))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.memoryPolicy: set_mempolicy: ")
    assert not box.leftovers()


def test_personality_of_exec_too(box: Box) -> None:
    name = box.start("sleep 100", lambda c: c["linux"].update(personality={"domain": "LINUX32"}))
    assert box.ok("exec", name, "uname", "-m").strip() in ("i686", "i386", "armv8l")
    assert (
        box.out("uname -m", lambda c: c["linux"].update(personality={"domain": "LINUX"})).strip() == os.uname().machine
    )
