"""SIGKILL to a container without its own pid namespace: its processes do not end with init."""

import os
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import Box, namespace, wait_for

CHILD = "sleep 1000 & echo $! > /record/child; sleep 1000 & wait"


def shared(box: Box, joined: str = "") -> Any:
    """Uses no pid namespace, or another container's; init writes the pid of its child to a file."""
    record = box.directory / "record"
    record.mkdir(exist_ok=True)

    def change(config: dict[str, Any]) -> None:
        spaces = config["linux"]["namespaces"]
        spaces[:] = [space for space in spaces if space["type"] != "pid"]
        if joined:
            namespace(config, "pid", joined)
        config["mounts"].append({"destination": "/record", "type": "bind", "source": str(record), "options": ["bind"]})

    return change


def child(box: Box) -> int:
    """Returns the host's pid of init's child."""
    file = box.directory / "record" / "child"
    wait_for(lambda: file.exists() and file.read_text().endswith("\n"), "the child's pid")
    return int(file.read_text())


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("signal", ["KILL", "9", "SIGKILL"])
@also_on("runc>=1.5")
def test_sigkill_reaches_every_process_of_a_container_that_shares_its_pids(box: Box, signal: str) -> None:
    name = box.start(CHILD, shared(box))
    pid = child(box)
    box.ok("kill", name, signal)
    wait_for(lambda: not runs(pid), "the child's end")
    box.await_status(name, "stopped")


@also_on("runc>=1.5")
def test_sigkill_reaches_those_whose_init_has_gone(box: Box) -> None:
    name = box.start(CHILD, shared(box))
    pid = child(box)
    os.kill(box.state(name)["pid"], 9)
    box.await_status(name, "stopped")
    assert runs(pid)
    box.ok("kill", name, "KILL")
    wait_for(lambda: not runs(pid), "the child's end")


def test_sigkill_to_nobody_is_refused(box: Box) -> None:
    name = box.start("true", shared(box))
    box.await_status(name, "stopped")
    done = box.call("kill", name, "KILL")
    assert done.returncode == 1 and "container not running" in done.stderr


@also_on("runc>=1.5")
def test_another_signal_reaches_init_alone(box: Box) -> None:
    name = box.start(f"trap 'exit 0' TERM; {CHILD}", shared(box))
    pid = child(box)
    box.ok("kill", name, "TERM")
    box.await_status(name, "stopped")
    assert runs(pid)
    assert box.call("kill", name, "TERM").returncode == 1
    box.ok("delete", "--force", name)
    wait_for(lambda: not runs(pid), "the child's end")


def test_a_joined_pid_namespace_is_not_its_own(box: Box) -> None:
    """The pid namespace is another container's, which goes on."""
    other = box.start("sleep 1000")
    pid = box.state(other)["pid"]
    name = box.start("sleep 1001 & sleep 1002 & wait", shared(box, f"/proc/{pid}/ns/pid"))
    wait_for(lambda: len(box.ok("ps", "--format", "json", name).split(",")) == 3, "both children")
    inside = [int(word) for word in box.ok("ps", "--format", "json", name).strip("[]\n").split(",")]
    box.ok("kill", name, "KILL")
    wait_for(lambda: not any(map(runs, inside)), "the end of all three")
    assert box.state(other)["status"] == "running"
