"""The container's limits hold against a library, and processes that escaped them are killed with the container."""

import os
from pathlib import Path
from typing import Any

import pytest
from hostile_box import AT, Stage, escaped, runs

from harness import Change, cgroups_of, wait_for

MIB = 1 << 20


def resources(**sections: Any) -> Change:
    return lambda config: config["linux"]["resources"].update(sections)


def host_pids(config: dict[str, Any]) -> None:
    """Removes the pid namespace, so that the end of init does not end the others."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "pid"]


@pytest.mark.parametrize("at", AT)
def test_a_memory_hog_is_killed_at_its_limit(stage: Stage, at: str) -> None:
    change = resources(memory={"limit": 24 * MIB, "swap": 24 * MIB})
    words = ["-b", str(stage.box.bundle("head -c 200m /dev/zero | tail", change))]
    done = stage.pyrunc("run", *words, *stage.preload("lxc2", "--preload-at", at), stage.box.new_id())
    assert done.returncode == 137


def test_without_reading_back_the_memory_hog_lives(stage: Stage) -> None:
    change = resources(memory={"limit": 24 * MIB, "swap": 24 * MIB})
    words = ["-b", str(stage.box.bundle("head -c 60m /dev/zero | tail -c 1 | wc -c", change)), *stage.preload("lxc2")]
    done = stage.pyrunc("run", *words, stage.box.new_id(), without="placement")
    assert (done.returncode, done.stdout) == (0, "1\n")


@pytest.mark.parametrize("at", AT)
def test_a_fork_bomb_stops_at_its_limit(stage: Stage, at: str) -> None:
    bomb = "bomb() { while :; do bomb & done; }; bomb 2>/dev/null"
    words = stage.preload("own_write", "--preload-at", at)
    name = stage.create(*words, script=bomb, change=resources(pids={"limit": 20}))
    stage.box.ok("start", name)
    pids = next(Path(path) for path in cgroups_of(name) if "/pids/" in path)
    wait_for(lambda: "max 0" not in (pids / "pids.events").read_text(), "the limit to be met")
    assert int((pids / "pids.current").read_text()) <= 20
    stage.box.ok("kill", "--all", name, "KILL")
    wait_for(lambda: not (pids / "cgroup.procs").read_text(), "the bomb's end")


def escape(stage: Stage, change: Change | None = None) -> tuple[str, list[int]]:
    """Starts a container whose two processes have left all of their cgroups; returns (id, pids)."""
    name = stage.box.start("sleep 1000 & exec sleep 2000", change)
    wait_for(lambda: len(_procs(name)) == 2, "both processes")
    found = sorted(int(pid) for pid in _procs(name))
    for pid in found:
        for path in cgroups_of(name):
            (Path(path).parent / "cgroup.procs").write_text(str(pid))
        assert len(escaped(pid, name)) >= 9
    return name, found


def _procs(name: str) -> list[str]:
    path = next(path for path in cgroups_of(name) if "/freezer/" in path)
    return (Path(path) / "cgroup.procs").read_text().split()


@pytest.mark.parametrize("words", [("kill", "--all", "ID", "KILL"), ("delete", "--force", "ID")])
@pytest.mark.parametrize("change", [None, host_pids], ids=["pid namespace", "host's pids"])
def test_a_process_that_left_every_cgroup_is_not_missed(
    stage: Stage, words: tuple[str, ...], change: Change | None
) -> None:
    name, pids = escape(stage, change)
    if change is not None:
        # Init is always signalled, and its end would end all processes of its pid namespace; here it has no own one.
        init = stage.box.state(name)["pid"]
        stage.pyrunc("kill", "--all", name, "KILL", without="members")
        assert all(runs(pid) for pid in pids if pid != init)
    stage.box.ok(*(name if word == "ID" else word for word in words))
    assert not [pid for pid in pids if runs(pid)]


def test_an_escaped_process_is_not_missed_when_init_has_gone(stage: Stage) -> None:
    """Without a pid namespace, a process that left every cgroup is found by the container's mount namespace."""
    name, pids = escape(stage, host_pids)
    init = stage.box.state(name)["pid"]
    os.kill(init, 9)
    stage.box.await_status(name, "stopped")
    (orphan,) = (pid for pid in pids if pid != init)
    assert runs(orphan)
    stage.box.ok("delete", name)
    assert not runs(orphan)


def test_any_signal_reaches_everybody(stage: Stage) -> None:
    name, pids = escape(stage, host_pids)
    stage.box.ok("kill", "--all", name, "TERM")
    wait_for(lambda: not [pid for pid in pids if runs(pid)], "the end of both")


def test_what_started_legacy_escapes_and_is_killed_all_the_same(stage: Stage) -> None:
    name = stage.create(*stage.preload("lxc2", "--placement", "legacy"), script="sleep 1000 & exec sleep 2000")
    stage.box.ok("start", name)
    pid = stage.box.state(name)["pid"]
    assert escaped(pid)
    children = wait_for_children(pid)
    stage.box.ok("delete", "--force", name)
    assert not runs(pid) and not [child for child in children if runs(child)]


def wait_for_children(pid: int) -> list[int]:
    file = Path(f"/proc/{pid}/task/{pid}/children")
    wait_for(file.read_text, "a child")
    return [int(child) for child in file.read_text().split()]
