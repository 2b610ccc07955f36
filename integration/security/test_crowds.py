"""Thousands of cgroups and processes of a container that may write to its cgroups, and processes that it freezes, must
not prevent commands from ending, nor the deletion of the container.

CROWD scales the numbers: 1 here, 20 in `make soak`, which makes 100,000 cgroups and 10,000 processes.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import PYRUNC, Box, cgroups_of, namespace, static_program, wait_for
from pyrunc.linux import procfs

CROWD = int(os.environ.get("CROWD", "1"))
WIDE, PROCESSES, DEEP = 5000 * CROWD, 500 * CROWD, 1200
AT_MOST = 20.0
"""Seconds for a command with CROWD=1: the bound of ten for processes, and a margin for the host's load."""
FREEZER = Path("/sys/fs/cgroup/freezer")

CROWDER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *file, const char *value) {
	int fd = open(file, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0) { perror(file); _exit(3); }
	close(fd);
}

static void enter(const char *name) {
	if (mkdir(name, 0755) || chdir(name)) { perror(name); _exit(4); }
}

int main(int argc, char **argv) {
	const char *what = argv[1];
	int count = atoi(argv[2]);
	char name[256];
	if (chdir(argv[3])) { perror(argv[3]); return 2; }
	if (!strcmp(what, "deep")) {
		/* 100 bytes each: 1,200 of them are 30 times PATH_MAX. */
		memset(name, 'd', 100); name[100] = 0;
		for (int i = 0; i < count; i++) enter(name);
		if (!fork()) { put("cgroup.procs", "0"); for (;;) pause(); }
	} else if (!strcmp(what, "moved")) {
		memset(name, 'd', 100); name[100] = 0;
		for (int i = 0; i < count; i++) enter(name);
		put("cgroup.procs", "0");
	} else if (!strcmp(what, "wide")) {
		for (int i = 0; i < count; i++) { snprintf(name, sizeof name, "w%d", i); if (mkdir(name, 0755)) return 5; }
	} else if (!strcmp(what, "processes")) {
		for (int i = 0; i < count; i++) if (!fork()) for (;;) pause();
	} else if (!strcmp(what, "frozen")) {
		enter("outer"); enter("inner");
		for (int i = 0; i < count; i++) if (!fork()) { put("cgroup.procs", "0"); for (;;) pause(); }
		usleep(200000);
		put("freezer.state", "FROZEN");
	}
	mkdir("/ready", 0755);
	for (;;) pause();
}
"""


@pytest.fixture(scope="module")
def crowder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return static_program(tmp_path_factory.mktemp("crowder"), "crowder", CROWDER)


def crowd(box: Box, crowder: Path, what: str, count: int, *, pids: bool = True) -> str:
    """Starts a container that makes its crowd itself, in the freezer's hierarchy (v2's without v1)."""
    root: list[Path] = []

    def change(config: dict[str, Any]) -> None:
        root.append(box.own_rootfs(config))
        shutil.copy(crowder, root[0] / "bin" / "crowder")
        config["root"]["readonly"] = False
        namespace(config, "cgroup")
        config["linux"]["resources"].pop("pids", None)
        config["process"].pop("rlimits", None)
        if not pids:
            config["linux"]["namespaces"] = [s for s in config["linux"]["namespaces"] if s["type"] != "pid"]
        for mount in config["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"] = [option for option in mount["options"] if option != "ro"]

    place = "/sys/fs/cgroup/freezer" if FREEZER.is_dir() else "/sys/fs/cgroup"
    name = box.start(["crowder", what, str(count), place], change)
    wait_for((root[0] / "ready").exists, f"the container to have made {count}", 60 * CROWD)
    return name


def timed(what: str, box: Box, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command, within AT_MOST seconds, and prints its time (`pytest -s`)."""
    begun = time.monotonic()
    done = box.call(*words, timeout=AT_MOST * CROWD)
    print(f"{what}: {words[0]}: {time.monotonic() - begun:.2f} s")
    return done


def deleted(what: str, box: Box, name: str) -> None:
    pid = json.loads((box.root / name / "state.json").read_text()).get("pid", 0)
    done = timed(what, box, "delete", "--force", name)
    assert done.returncode == 0, done.stderr
    assert not cgroups_of(name) and not (box.root / name).exists()
    # It may be a zombie if no process reaps orphans, as in a container without an init.
    wait_for(lambda: not pid or procfs.started(pid) is None, "init to have ended", 1)


@pytest.mark.parametrize("what", ["deep", "moved"])
def test_cgroups_deeper_than_a_path_is_long(box: Box, crowder: Path, what: str) -> None:
    """``moved``: init itself is in the deepest cgroup. runc 1.5 ends init, and leaves the cgroups and the state."""
    name = crowd(box, crowder, what, DEEP)
    assert str(box.state(name)["pid"]) in box.ok("ps", "--format", "json", name)
    assert box.ok("exec", name, "echo", "in").strip() == "in"
    box.ok("pause", name)
    box.ok("resume", name)
    assert timed(what, box, "kill", "--all", name, "KILL").returncode == 0
    deleted(what, box, name)


def test_many_cgroups_beside_each_other(box: Box, crowder: Path) -> None:
    name = crowd(box, crowder, "wide", WIDE)
    what = f"{WIDE} cgroups"
    assert json.loads(timed(what, box, "ps", "--format", "json", name).stdout) == [box.state(name)["pid"]]
    deleted(what, box, name)


@also_on("runc>=1.5")
@pytest.mark.parametrize("pids", [True, False], ids=["own pid namespace", "host's pid namespace"])
def test_many_processes(box: Box, crowder: Path, pids: bool) -> None:
    name = crowd(box, crowder, "processes", PROCESSES, pids=pids)
    what = f"{PROCESSES} processes"
    assert len(json.loads(timed(what, box, "ps", "--format", "json", name).stdout)) == PROCESSES + 1
    deleted(what, box, name)


@pytest.mark.skipif(not FREEZER.is_dir(), reason="v2's frozen processes end by SIGKILL")
@pytest.mark.parametrize("pids", [True, False], ids=["own pid namespace", "host's pid namespace"])
def test_processes_that_are_frozen_in_nested_freezers(box: Box, crowder: Path, pids: bool) -> None:
    """runc 1.5 fails with "container init still running" after ten seconds, at every call."""
    name = crowd(box, crowder, "frozen", 3, pids=pids)
    inner = next(FREEZER.glob(f"**/{name}/outer/inner"))
    assert (inner / "freezer.state").read_text() == "FROZEN\n"
    assert len((inner / "cgroup.procs").read_text().split()) == 3
    deleted("frozen", box, name)


@pytest.mark.skipif(not FREEZER.is_dir(), reason="v2's frozen processes end by SIGKILL")
def test_what_can_not_be_ended_has_one_deadline_and_one_line(box: Box) -> None:
    """The host has frozen a cgroup above the container's, so no process in it ends. After ten seconds for everything
    the command reports the remaining processes; a signal ends it earlier; after the thaw a second call finishes."""
    above = FREEZER / f"pyrunc-above-{os.getpid()}"
    name = box.start("sleep 100 & sleep 100", lambda config: config["linux"].update(cgroupsPath=f"/{above.name}/inner"))
    try:
        (above / "freezer.state").write_text("FROZEN")
        wait_for(lambda: (above / "freezer.state").read_text() == "FROZEN\n", "the cgroup to be frozen")
        begun = time.monotonic()
        done = box.call("delete", "--force", name)
        took = time.monotonic() - begun
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "processes stay" in done.stderr and str(box.state(name)["pid"]) in done.stderr
        assert took < 15, took
        command = [PYRUNC, "--root", str(box.root), "delete", "--force", name]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        lock = box.root / name
        wait_for(lambda: any(str(lock) in os.readlink(f) for f in descriptors(process.pid)), "the lock to be held")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM and process.stderr
        process.stderr.close()
    finally:
        (above / "freezer.state").write_text("THAWED")
        box.ok("delete", "--force", name)
        for path in cgroups_of(above.name):
            os.rmdir(path)


def descriptors(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []
