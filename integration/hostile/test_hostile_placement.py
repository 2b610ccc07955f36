"""Libraries that move the loading process to other cgroups, and the cgroups of the container's program afterwards.

Read from the host's /proc. Each counter-measure is taken out once (integration/hostile/mutated.py): its test must
then fail.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_box import AT, Stage, escaped, runs

from harness import Change, cgroups_of, wait_for

MOVER = """
import os, sys
file = os.open("/sys/fs/cgroup/freezer/tasks", os.O_WRONLY)
while True:
    os.write(file, sys.argv[1].encode())
"""


def host_pids(config: "dict[str, Any]") -> None:
    """Removes the pid namespace."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "pid"]


def seen_by_its_daemon(library: str, at: str) -> "Change | None":
    """cgmanager serves no process of another pid namespace, as a container's init is."""
    return host_pids if library.startswith("lxc") and at == "init" else None


MOVERS = ("lxc1", "lxc2", "own_write", "unified_too")


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("library", MOVERS)
def test_a_moved_process_is_moved_back_before_its_program_runs(stage: Stage, library: str, at: str) -> None:
    assert not escaped(stage.started(library, at, change=seen_by_its_daemon(library, at)))


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("library", MOVERS)
def test_without_reading_back_it_stays_where_it_was_moved(stage: Stage, library: str, at: str) -> None:
    left = escaped(stage.started(library, at, without="placement", change=seen_by_its_daemon(library, at)))
    assert len(left) >= 9 and ("" in left) == (library in ("own_write", "unified_too"))


def test_the_daemon_serves_no_other_pid_namespace(stage: Stage) -> None:
    """The real cgmanager "requires a proxy" there: init is moved only if it has the host's pids."""
    assert not escaped(stage.started("lxc2", "init", without="placement"))
    assert escaped(stage.started("lxc2", "init", without="placement", change=host_pids))


@pytest.mark.parametrize("at", AT)
def test_run_and_exec_are_moved_back_too(stage: Stage, at: str) -> None:
    words = stage.preload("lxc2", "--preload-at", at)
    name = stage.box.new_id()
    bundle = str(stage.box.bundle("sleep 100"))
    done = stage.pyrunc("run", "-d", "-b", bundle, *words, name, capture_output=False, stdout=-3, stderr=-3, stdin=-3)
    assert done.returncode == 0 and not escaped(stage.box.state(name)["pid"])
    file = stage.box.directory / "exec.pid"
    command = ["exec", "-d", "--pid-file", str(file), *words, name, "sleep", "100"]
    assert stage.pyrunc(*command, capture_output=False, stdout=-3, stderr=-3, stdin=-3).returncode == 0
    assert not escaped(int(file.read_text()))
    if at == "exec":  # inside of the running container the daemon's socket does not exist
        quiet = {"capture_output": False, "stdout": -3, "stderr": -3}
        assert stage.pyrunc(*command, without="placement", **quiet).returncode == 0
        assert escaped(int(file.read_text()))


def test_no_thread_of_a_library_is_left_in_init(stage: Stage) -> None:
    """A thread could wait until the container is created but not started, and act then."""
    name = stage.create(*stage.preload("late_thread", "--preload-at", "init"))
    pid = stage.box.state(name)["pid"]
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    stage.box.ok("start", name)
    assert not escaped(pid)


def test_start_finds_init_moved_after_create(stage: Stage) -> None:
    """A daemon needs no descriptor of pyrunc's, and may act at any time."""
    for without in ("", "start"):
        name = stage.create()
        pid = stage.box.state(name)["pid"]
        Path("/sys/fs/cgroup/freezer/tasks").write_text(str(pid))
        assert escaped(pid) == ["freezer"]
        assert stage.pyrunc("start", name, without=without).returncode == 0
        assert bool(escaped(pid)) == bool(without)


def test_threads_end_with_the_process_that_loaded(stage: Stage) -> None:
    def in_user_namespace(config: "dict[str, object]") -> None:
        from harness import user_namespace

        user_namespace(config)

    assert stage.run("late_thread", "exec", "echo here", change=in_user_namespace) == "here\n"
    pid = stage.started("late_thread", "exec")
    assert len(os.listdir(f"/proc/{pid}/task")) == 1 and not escaped(pid)


def start_against_a_mover(stage: Stage) -> "tuple[str, int, subprocess.CompletedProcess[str]]":
    """Runs `start` while another process keeps moving init to the freezer's root; returns (id, pid of init, result)."""
    name = stage.create()
    pid = stage.box.state(name)["pid"]
    mover = subprocess.Popen([sys.executable, "-c", MOVER, str(pid)])
    try:
        wait_for(lambda: escaped(pid), "the first move")
        return name, pid, stage.pyrunc("start", name)
    finally:
        mover.kill()
        mover.wait()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one CPU the mover is never between the two checks")
def test_whom_it_cannot_keep_in_its_cgroups_it_does_not_start(stage: Stage) -> None:
    """One line reports both cgroups, and nothing is left."""
    for _ in range(30):  # if the mover is slow, the second check finds init in its own cgroups
        name, pid, done = start_against_a_mover(stage)
        if done.returncode:
            break
        stage.box.ok("delete", "--force", name)
    assert done.returncode == 1 and "init left its cgroups: freezer (found /, expected /" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("pyrunc: ")]) == 1
    assert not cgroups_of(name) and not runs(pid)
    assert "does not exist" in stage.box.call("state", name).stderr


@pytest.mark.parametrize("at", AT)
def test_cgroups_that_it_made_below_the_containers_are_removed(stage: Stage, at: str) -> None:
    for without in ("", "cgroups"):
        change = seen_by_its_daemon("lxc2", at)
        name = stage.create(*stage.preload("lxc2", "--preload-at", at), without=without, change=change)
        made = [path for top in cgroups_of(name) for path in Path(top).glob("**/lxc")]
        assert bool(made) == bool(without)
        stage.box.ok("delete", "--force", name)
        assert not cgroups_of(name)


def test_legacy_is_the_race_of_2018(stage: Stage) -> None:
    """The parent writes while the constructor runs, and does not check: init stays where the library moved it."""
    name = stage.create(*stage.preload("lxc2", "--placement", "legacy"))
    pid = stage.box.state(name)["pid"]
    assert escaped(pid)
    stage.box.ok("start", name)
    assert escaped(pid), "legacy looks no further, not at start either"


def test_legacy_is_for_preloading_only(stage: Stage) -> None:
    done = stage.pyrunc("run", "--placement", "legacy", "-b", str(stage.box.bundle("true")), stage.box.new_id())
    assert done.returncode == 1 and "--placement legacy is for --preload-lib only" in done.stderr


def test_it_says_loudly_what_it_does(stage: Stage) -> None:
    log = stage.box.directory / "log"
    bundle = str(stage.box.bundle("true"))
    done = stage.box.call("--log", str(log), "run", "-b", bundle, *stage.preload("lxc1"), stage.box.new_id())
    for said in (done.stderr, log.read_text()):
        assert "test mode, not for production" in said and "lxc1.so" in said
    assert "was moved out of its cgroups, and is moved back" in log.read_text()
