"""Podman: wrong input of a user, and the leftovers after a part of the engine dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ground import RUNTIMES, Ground, wait_for
from podman import WRONG_COMMANDS, Podman, prepared

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with prepared("podman-input", archive) as made:
        yield made


def assert_nothing_left(podman: Podman) -> None:
    """Asserts that no container, process, cgroup or state directory is left, and that the next command works."""
    podman.ground.settle()
    assert podman.ok("ps", "--all", "--quiet") == ""
    state = podman.ground.path(f"/run/{podman.runtime}")
    assert not state.exists() or [path for path in state.iterdir() if path.name[0] != "."] == []
    assert podman.out(["echo", "next"]) == "next\n"


@pytest.mark.parametrize(("command", "code", "words"), WRONG_COMMANDS.values(), ids=list(WRONG_COMMANDS))
def test_wrong_command_is_told(podman: Podman, command: str, code: int, words: str) -> None:
    done = podman.run([command])
    assert done.returncode == code and words in done.stderr and f'"{command}"' in done.stderr
    assert_nothing_left(podman)


BAD_OPTIONS = {
    "user": (["--user", "nobodyhere"], 126, "nobodyhere"),
    "directory": (["--workdir", "/etc/plain/x"], 126, "/etc/plain/x"),
    "device": (["--device", "/dev/nosuch"], 125, "/dev/nosuch"),
    "mount source": (["--volume", "/no/such:/mnt"], 125, "/no/such"),
    "capability": (["--cap-add", "nosuch"], 125, "CAP_NOSUCH"),
    "seccomp file": (["--security-opt", "seccomp=/no/such"], 125, "/no/such"),
    "kernel setting": (["--sysctl", "net.ipv4.no_such=1"], 127, "no_such"),
    "cpus": (["--cpuset-cpus", "77"], 125, "77"),
    "ulimit": (["--ulimit", "nofile=2000000000:2000000000"], 126, "rlimit"),
    "mount target": (["--volume", "/etc:/etc/plain"], 126, "/etc/plain"),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_bad_option_is_told(podman: Podman, what: str) -> None:
    options, code, words = BAD_OPTIONS[what]
    done = podman.run(["true"], *options)
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert_nothing_left(podman)


def test_too_small_a_memory_limit_is_told(podman: Podman) -> None:
    done = podman.run(["true"], "--memory", "8k", "--memory-swap", "8k")
    assert done.returncode == 126 and "memory" in done.stderr
    assert_nothing_left(podman)


def test_bad_seccomp_action_is_told(podman: Podman) -> None:
    profile = podman.ground.directory / "bad.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_NOSUCH"}')
    done = podman.run(["true"], "--security-opt", f"seccomp={profile}")
    assert done.returncode == 126 and "SCMP_ACT_NOSUCH" in done.stderr
    assert_nothing_left(podman)


def test_bind_source_that_vanished_is_told(podman: Podman) -> None:
    source = podman.source("vanishing")
    podman.ok(*podman.made("create", ("--name", "c", "--volume", f"{source}:/mnt")), "localhost/busybox", "true")
    source.rmdir()
    done = podman.call("start", "c")
    assert done.returncode in (125, 127) and str(source) in done.stderr
    source.mkdir()
    assert podman.call("start", "--attach", "c").returncode == 0
    podman.ok("rm", "c")
    assert_nothing_left(podman)


@pytest.mark.runc_fails("tells no reason")
def test_full_state_directory_leaves_nothing(podman: Podman) -> None:
    podman.ground.ok("mkdir", "-p", f"/run/{podman.runtime}")
    podman.ground.ok("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1000", "tmpfs", f"/run/{podman.runtime}")
    try:
        podman.ground.call("sh", "-c", f"head -c 4096 /dev/zero > /run/{podman.runtime}/full")
        done = podman.run(["true"])
        assert done.returncode in (125, 126, 127) and "no space left" in done.stderr.lower()
        podman.ground.ok("rm", f"/run/{podman.runtime}/full")
        assert list(podman.ground.path(f"/run/{podman.runtime}").iterdir()) == []
    finally:
        podman.ground.ok("umount", f"/run/{podman.runtime}")
    assert_nothing_left(podman)


def test_read_only_state_directory_leaves_nothing(podman: Podman) -> None:
    podman.ground.ok("mkdir", "-p", f"/run/{podman.runtime}")
    podman.ground.ok("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", f"/run/{podman.runtime}")
    try:
        done = podman.run(["true"])
        assert done.returncode in (125, 126, 127) and "read-only file system" in done.stderr.lower()
    finally:
        podman.ground.ok("umount", f"/run/{podman.runtime}")
    assert_nothing_left(podman)


def test_killed_conmon_leaves_nothing_that_runs(podman: Podman) -> None:
    podman.start()
    pid, conmon, name = (podman.inspect(what) for what in ("State.Pid", "State.ConmonPid", "ID"))
    podman.ground.ok("kill", "-9", str(conmon))
    wait_for(lambda: conmon not in podman.ground.processes(), "conmon's end")
    podman.ok("rm", "--force", "--time", "0", "c")
    assert pid not in podman.ground.processes()
    # Without conmon Podman does not call the runtime to delete a container; the runtime still has its whole state.
    podman.ground.ok(RUNTIMES[podman.runtime], "delete", name)
    assert_nothing_left(podman)


def test_killed_client_leaves_the_container_alone(podman: Podman) -> None:
    words = podman.words(*podman.made("run", ("--name", "c")), "localhost/busybox", "sleep", "1000")
    client = podman.ground.popen(*words)
    wait_for(lambda: podman.call("exec", "c", "true").returncode == 0, "the container to run")
    pid = next(pid for pid, line in podman.ground.processes().items() if line == " ".join(words))
    podman.ground.ok("kill", "-9", str(pid))
    client.wait(20)
    assert podman.status() == "running" and podman.ok("exec", "c", "echo", "alive") == "alive\n"


def test_killed_init_is_noticed(podman: Podman) -> None:
    podman.start("c", args=["sh", "-c", "sleep 1234 & sleep 1000"])
    wait_for(lambda: "sleep 1234" in podman.ground.processes().values(), "the second process")
    os.kill(host_pid(podman, podman.inspect("State.Pid")), signal.SIGKILL)
    assert podman.ok("wait", "c") == "137\n"
    wait_for(lambda: "sleep 1234" not in podman.ground.processes().values(), "the second process to end")
    podman.ok("rm", "c")
    assert_nothing_left(podman)


def host_pid(podman: Podman, inside: int) -> int:
    """Returns the host's pid of a pid of the ground's namespace."""
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "status").read_text() if entry.name.isdigit() else ""
            numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
            if str(inside) in numbers[1:2] and os.readlink(entry / "ns/net") and same_ground(podman, entry):
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no process {inside}")


def same_ground(podman: Podman, entry: Path) -> bool:
    """True if a process's second pid namespace is the ground's, judged by its cgroup."""
    return podman.ground.cgroup in (entry / "cgroup").read_text()
