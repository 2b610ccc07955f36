"""Checkpoint and restore by the real CRIU, if it works with the host's kernel: in a guest of Debian 13 (`make guest`).

test_checkpoint.py and test_restore.py test requests and failures on every host, with a stand-in.
"""

import json
import os
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
from peers import also_on

from harness import Box, wait_for
from limits import limit

COUNTING = "n=0; while true; do n=$((n+1)); echo $n >/dev/shm/n; sleep 0.2; done"
"""A counter that must go on, not start anew. (A dumped sleep ends with EINTR after the restore.)"""
QUIET: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
    "capture_output": False,
}


@cache
def refusal() -> str:
    """Returns why CRIU does not work on this host, or an empty string."""
    if shutil.which("criu") is None:
        return "criu is not installed"
    if os.geteuid():
        return "criu wants root"
    done = subprocess.run(["criu", "check"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"criu check: {done.stderr.strip().splitlines()[-1]}"


pytestmark = pytest.mark.skipif(bool(refusal()), reason=refusal())


@pytest.fixture(autouse=True)
def without_hardware_breakpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRIU's hardware breakpoints panic the kernel of a guest that QEMU emulates; CRIU's own tests avoid them so."""
    monkeypatch.setenv("CRIU_FAULT", "130")


def paths(box: Box, image: str = "image") -> list[str]:
    return ["--image-path", str(box.directory / image), "--work-path", str(box.directory / "work")]


def said(box: Box) -> str:
    """Returns the ends of CRIU's logs, for the report of a failure."""
    logs = sorted((box.directory / "work").glob("*.log"))
    return "\n".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-12:])


def detached(box: Box, script: str = COUNTING, change: Any = None) -> str:
    """Starts a container in the background with the null device as all of its streams, as engines do."""
    name = box.new_id()
    bundle = box.bundle(script, change)
    assert box.call("run", "--detach", "-b", str(bundle), name, **QUIET).returncode == 0
    return name


def count(box: Box, name: str) -> int:
    done = box.call("exec", name, "cat", "/dev/shm/n")
    return int(done.stdout.strip() or 0) if done.returncode == 0 else 0


def checkpoint(box: Box, name: str, *words: str, image: str = "image") -> None:
    done = box.call("checkpoint", *paths(box, image), *words, name)
    assert done.returncode == 0, (done.stderr, said(box))


def restore(box: Box, name: str, bundle: str, *words: str) -> None:
    with open(box.directory / "stderr", "w+") as errors:
        done = box.call("restore", "--detach", *paths(box), "-b", bundle, *words, name, **{**QUIET, "stderr": errors})
        assert done.returncode == 0, ((box.directory / "stderr").read_text(), said(box))


@also_on("runc")
def test_a_container_goes_on_where_it_was(box: Box) -> None:
    name = detached(box)
    wait_for(lambda: count(box, name) > 2, "the container to count")
    before, bundle = count(box, name), box.state(name)["bundle"]
    checkpoint(box, name)
    assert box.call("state", name).returncode == 1 and not box.leftovers()
    restore(box, name, bundle, "--pid-file", str(box.directory / "pid"))
    state = box.state(name)
    assert state["status"] == "running" and (box.directory / "pid").read_text() == str(state["pid"])
    wait_for(lambda: count(box, name) > before, "the container to count on")
    assert box.ok("exec", name, "cat", "/proc/1/cmdline").startswith("sh\0-c\0")
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")
    box.ok("delete", name)


@also_on("runc")
def test_one_that_is_left_running_runs_on(box: Box) -> None:
    name = detached(box)
    wait_for(lambda: count(box, name) > 0, "the container to count")
    checkpoint(box, name, "--leave-running")
    before = count(box, name)
    wait_for(lambda: count(box, name) > before, "the container to count on")


@also_on("runc")
def test_a_pre_dump_and_the_dump_after_it(box: Box) -> None:
    name = detached(box)
    wait_for(lambda: count(box, name) > 0, "the container to count")
    bundle = box.state(name)["bundle"]
    checkpoint(box, name, "--pre-dump", image="before")
    assert box.state(name)["status"] == "running"
    before = count(box, name)
    checkpoint(box, name, "--parent-path", "../before")
    assert (box.directory / "image" / "parent").resolve() == box.directory / "before"
    restore(box, name, bundle)
    wait_for(lambda: count(box, name) > before, "the container to count on")


@also_on("runc")
def test_limits_and_mounts_are_those_of_before(box: Box) -> None:
    data = box.directory / "data"
    data.mkdir()

    def change(config: dict[str, Any]) -> None:
        config["linux"]["resources"].update(pids={"limit": 33}, memory={"limit": 64 << 20})
        config["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(data), "options": ["rbind"]})
        box.own_rootfs(config)

    name = detached(box, COUNTING.replace("/dev/shm/n", "/mnt/n"), change)
    wait_for(lambda: (data / "n").exists(), "the container to count")
    bundle = box.state(name)["bundle"]
    checkpoint(box, name)
    before = int((data / "n").read_text())
    restore(box, name, bundle)
    wait_for(lambda: int((data / "n").read_text() or 0) > before, "the container to count on")
    assert (limit(name, "pids.max"), limit(name, "memory.max")) == ("33", str(64 << 20))


def test_one_that_is_paused_is_dumped(box: Box) -> None:
    name = detached(box)
    wait_for(lambda: count(box, name) > 0, "the container to count")
    bundle = box.state(name)["bundle"]
    box.ok("pause", name)
    checkpoint(box, name)
    restore(box, name, bundle)
    assert box.state(name)["status"] == "running"


@also_on("runc")
def test_pipes_of_before_become_those_of_the_restore(box: Box) -> None:
    name, bundle = box.new_id(), str(box.bundle("while true; do echo on; sleep 0.2; done"))
    reading, writing = os.pipe()
    streams = {**QUIET, "stdout": writing}
    assert box.call("run", "--detach", "-b", bundle, name, **streams).returncode == 0
    os.close(writing)
    assert os.read(reading, 3) == b"on\n"
    checkpoint(box, name)
    os.close(reading)
    reading, writing = os.pipe()
    streams = {**QUIET, "stdout": writing}
    done = box.call("restore", "--detach", *paths(box), "-b", bundle, name, **streams)
    os.close(writing)
    assert done.returncode == 0, said(box)
    assert os.read(reading, 3) == b"on\n"
    os.close(reading)


def test_a_restore_in_the_foreground_ends_as_the_container(box: Box) -> None:
    script = "while [ ! -e /dev/shm/go ]; do sleep 0.1; done; exit 9"
    name = detached(box, script)
    bundle = box.state(name)["bundle"]
    checkpoint(box, name)
    words = [*box.command, "restore", *paths(box), "-b", bundle, name]
    errors = box.directory / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        wait_for(
            lambda: box.call("exec", name, "touch", "/dev/shm/go").returncode == 0, "the container to be there", 60
        )
        assert process.wait(60) == 9, (errors.read_text(), said(box))
    finally:
        process.kill()
        process.wait()
    assert not box.leftovers()


def test_an_image_that_is_none_is_told_in_one_line(box: Box) -> None:
    (box.directory / "image").mkdir()
    (box.directory / "image" / "descriptors.json").write_text(json.dumps(["/dev/null"] * 3))
    done = box.call("restore", "--detach", *paths(box), "-b", str(box.bundle("true")), box.new_id())
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: criu restore failed: ")
    assert done.stderr.count("\n") == 1 and not box.leftovers()
