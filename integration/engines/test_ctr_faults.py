"""ctr: answers to bad input, and the state after a fault: a full disk, a killed shim or engine."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctr import Ctr
from ground import Ground, wait_for

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with Ctr.ready("ctr-faults", archive) as made:
        yield made


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nonesuch"], 'exec: "nonesuch": executable file not found in $PATH'),
        (["/no/such"], 'exec: "/no/such": stat /no/such: no such file or directory'),
        (["/etc/plain"], 'exec: "/etc/plain": permission denied'),
        (["/data"], 'exec: "/data": '),
    ],
    ids=["missing", "missing path", "not executable", "directory"],
)
def test_wrong_command_is_told(ctr: Ctr, args: list[str], words: str) -> None:
    done = ctr.run(args)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert ctr.out(["echo", "next"]) == "next\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cwd", "/data/file"], ["/data/file", "not a directory"]),
        (["--mount", "type=bind,src=/no/such,dst=/mnt,options=rbind"], ["/no/such", "no such file or directory"]),
        (["--mount", "type=nonesuch,src=x,dst=/mnt"], ["/mnt", "no such device"]),
        (["--memory-limit", "4096"], []),
        (["--with-ns", "network:/no/such"], ["/no/such", "no such file or directory"]),
        pytest.param(
            ["--with-ns", "network:/proc/1/ns/ipc"], ["/proc/1/ns/ipc"], marks=pytest.mark.runc_fails("names no path")
        ),
    ],
    ids=["directory", "mount source", "mount type", "memory limit", "namespace path", "namespace of another kind"],
)
def test_bad_option_is_told(ctr: Ctr, options: list[str], words: list[str]) -> None:
    done = ctr.run(["true"], *options)
    assert done.returncode == 1 and all(word in done.stderr for word in words), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    assert ctr.out(["echo", "next"]) == "next\n"


def test_bad_seccomp_action_is_told(ctr: Ctr) -> None:
    done = ctr.run(["true"], "--seccomp", "--seccomp-profile", ctr.profile({"defaultAction": "SCMP_ACT_NONESUCH"}))
    assert done.returncode == 1 and "SCMP_ACT_NONESUCH" in done.stderr
    assert ctr.out(["echo", "next"]) == "next\n"


def test_unknown_capability_is_told_or_left_out(ctr: Ctr) -> None:
    done = ctr.run(["echo", "ran"], "--cap-add", "CAP_NONESUCH")
    assert done.stdout == "ran\n" or "CAP_NONESUCH" in done.stderr


@pytest.mark.runc_fails("its message has no reason in it")
def test_full_state_directory_leaves_nothing(ctr: Ctr) -> None:
    root = ctr.ground.directory / "full"
    root.mkdir(exist_ok=True)
    ctr.ground.ok("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(root))
    try:
        ctr.ground.call("dd", "if=/dev/zero", f"of={root}/fill", "bs=4k")
        done = ctr.run(["true"], *ctr.root_flags(root))
        assert done.returncode == 1 and "no space left on device" in done.stderr
        assert ctr.ground.ok("find", str(root), "-name", "c") == ""
    finally:
        ctr.ground.ok("umount", str(root))


def test_read_only_state_directory_leaves_nothing(ctr: Ctr) -> None:
    root = ctr.ground.directory / "read-only"
    root.mkdir(exist_ok=True)
    ctr.ground.ok("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(root))
    try:
        done = ctr.run(["true"], *ctr.root_flags(root))
        assert done.returncode == 1 and "read-only file system" in done.stderr
    finally:
        ctr.ground.ok("umount", str(root))


def test_checkpoint_that_fails_leaves_the_container_running(ctr: Ctr) -> None:
    ctr.start("c", "--null-io")
    # Debian's CRIU does not support every kernel; if it supports this one, this image cannot be written.
    done = ctr.call("tasks", "checkpoint", "--image-path", "/proc/no/such", "c")
    assert done.returncode == 1 and done.stderr.strip()
    assert ctr.status() == "RUNNING" and ctr.exec("echo", "still").stdout == "still\n"


def test_killed_shim_leaves_nothing(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "sleep 1001 & exec sleep 1000"])
    ctr.kill_shim()
    wait_for(lambda: ctr.status() in ("", "STOPPED", "UNKNOWN"), "the task's end")
    ctr.remove_all()
    ctr.ground.settle()
    assert ctr.out(["echo", "next"]) == "next\n"


def test_engine_restarts_while_a_container_runs(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "trap 'exit 6' TERM; while :; do sleep 0.1; done"])
    ctr.restart()
    assert ctr.status() == "RUNNING"
    assert ctr.exec("echo", "still").stdout == "still\n"
    ctr.ok("tasks", "kill", "c")
    ctr.await_status("STOPPED")


def test_engine_killed_and_restarted(ctr: Ctr) -> None:
    ctr.start()
    ctr.restart(signal.SIGKILL)
    assert ctr.status() == "RUNNING"
    ctr.ok("tasks", "kill", "-s", "SIGKILL", "c")
    ctr.await_status("STOPPED")


def test_container_that_ends_while_the_engine_is_away_tells_its_status(ctr: Ctr) -> None:
    gate = ctr.ground.directory / f"gate-{ctr.runtime}"
    gate.mkdir()
    mount = f"type=bind,src={gate},dst=/gate,options=rbind"
    ctr.start("c", "--mount", mount, args=["sh", "-c", "until [ -e /gate/open ]; do sleep 0.05; done; exit 5"])
    daemon = ctr.ground.daemons[0]
    daemon.stop(signal.SIGKILL)
    (gate / "open").touch()
    wait_for(lambda: not any("/gate/open" in words for words in ctr.ground.others().values()), "the container's end")
    daemon.start(lambda: ctr.call("version").returncode == 0)
    ctr.await_status("STOPPED")
    assert "exit code 5" in ctr.call("tasks", "delete", "c").stderr


def test_frozen_container_and_its_exec_outlive_the_engine(ctr: Ctr) -> None:
    ctr.start()
    ctr.ok("tasks", "exec", "--detach", "--exec-id", "e", "c", "sleep", "1001")
    ctr.ok("tasks", "pause", "c")
    ctr.restart(signal.SIGKILL)
    assert ctr.status() == "PAUSED"
    ctr.ok("tasks", "resume", "c")
    assert [ctr.cmdline(pid)[-1] for pid in ctr.pids()] == ["1000", "1001"]
    ctr.ok("tasks", "kill", "-s", "SIGKILL", "--exec-id", "e", "c")
    wait_for(lambda: len(ctr.pids()) == 1, "the end of what was executed")
