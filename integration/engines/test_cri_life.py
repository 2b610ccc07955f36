"""CRI: exec, attach, stop, update and statistics in the life of a pod."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cri import TRAP, Cri, ready
from ground import Ground, wait_for

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with ready("cri-life", archive) as made:
        yield made


def test_exec_prints_and_exits_with_the_status(cri: Cri) -> None:
    done = cri.exec(cri.start(cri.pod()), "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.stdout, done.stderr, done.exit_code) == (b"out\n", b"err\n", 5)


def test_exec_ends_after_its_timeout(cri: Cri) -> None:
    container = cri.start(cri.pod())
    assert "timeout" in cri.error("ExecSync", container_id=container, cmd=["sleep", "1003"], timeout=1)
    wait_for(lambda: "1003" not in cri.said(container, "ps"), "the exec'd process to be gone")


def test_exec_of_a_missing_command_is_told(cri: Cri) -> None:
    container = cri.start(cri.pod())
    words = cri.error("ExecSync", container_id=container, cmd=["nonesuch"])
    assert 'exec: "nonesuch": executable file not found in $PATH' in words
    assert cri.said(container, "echo", "next") == "next\n"


def test_exec_streams_both_ways(cri: Cri) -> None:
    container = cri.start(cri.pod())
    request = {
        "container_id": container,
        "cmd": ["sh", "-c", "read a; echo got $a; exit 3"],
        "stdin": True,
        "stdout": True,
    }
    done = cri.stream(cri.call("Exec", **request).url, data="a line\n")
    assert done.stdout == "got a line\n" and '"message":"3"' in done.stderr, done.stderr


def test_exec_has_a_terminal(cri: Cri) -> None:
    container = cri.start(cri.pod())
    script = "until stty size | grep 99; do sleep 0.05; done; tty"
    request = {"container_id": container, "cmd": ["sh", "-c", script], "tty": True, "stdin": True, "stdout": True}
    done = cri.stream(cri.call("Exec", **request).url, "--resize", "30x99")
    assert "30 99" in done.stdout and "/dev/pts/" in done.stdout


def test_attach_shows_the_output(cri: Cri) -> None:
    container = cri.start(cri.pod(), "while :; do echo tick; sleep 0.05; done")
    url = cri.call("Attach", container_id=container, stdout=True).url
    assert "tick\ntick\n" in cri.stream(url, "--until", "tick\ntick\n").stdout


def test_terminal_of_a_container(cri: Cri) -> None:
    # The kernel's terminal turns each newline into two bytes; the log has the output as the kernel wrote it.
    pod = cri.pod()
    assert cri.out("tty; test -w /dev/console && echo console", pod, tty=True).split() == ["/dev/pts/0", "console"]


def test_stop_within_the_grace_period(cri: Cri) -> None:
    pod = cri.pod()
    container = cri.start(pod, TRAP)
    wait_for(lambda: "ready" in cri.log(container), "the trap")
    cri.call("StopContainer", container_id=container, timeout=20)
    assert cri.status(container).exit_code == 6


def test_stop_kills_after_the_grace_period(cri: Cri) -> None:
    container = cri.start(cri.pod(), "trap '' TERM; while :; do sleep 0.05; done")
    cri.call("StopContainer", container_id=container, timeout=1)
    assert cri.status(container).exit_code == 137


def test_stopped_pod_ends_its_containers(cri: Cri) -> None:
    pod = cri.pod()
    containers = [cri.start(pod, "sleep 1001 & exec sleep 1000") for _ in range(2)]
    cri.call("StopPodSandbox", pod_sandbox_id=pod)
    assert [cri.status(container).state for container in containers] == [cri.types.CONTAINER_EXITED] * 2
    cri.ground.settle()


def test_update_of_limits(cri: Cri) -> None:
    container = cri.start(cri.pod(), resources={"memory_limit_in_bytes": 67108864, "cpu_shares": 512})
    linux = {"memory_limit_in_bytes": 33554432, "cpu_shares": 300, "cpu_quota": 20000, "cpu_period": 100000}
    cri.call("UpdateContainerResources", container_id=container, linux=linux)
    assert cri.limit(container, "memory", "memory.limit_in_bytes") == "33554432"
    assert [cri.limit(container, "cpu", file) for file in ("cpu.cfs_quota_us", "cpu.shares")] == ["20000", "300"]


def test_update_that_cannot_be_is_told(cri: Cri) -> None:
    container = cri.start(cri.pod())
    assert cri.error("UpdateContainerResources", container_id=container, linux={"cpuset_cpus": "99"})
    assert cri.said(container, "echo", "next") == "next\n"


def test_statistics_are_read(cri: Cri) -> None:
    container = cri.start(cri.pod(), "while :; do :; done")
    stats = cri.call("ContainerStats", container_id=container).stats
    assert stats.cpu.usage_core_nano_seconds.value > 0 and stats.memory.working_set_bytes.value > 0


def test_log_is_reopened_after_rotation(cri: Cri) -> None:
    pod = cri.pod()
    container = cri.start(pod, "while :; do echo tick; sleep 0.05; done")
    file = cri.logs[container]
    file.rename(file.with_suffix(".old"))
    cri.call("ReopenContainerLog", container_id=container)
    wait_for(lambda: "tick" in file.read_text(), "the new log")


def test_container_of_a_pod_is_run_again(cri: Cri) -> None:
    pod = cri.pod()
    assert [cri.out(f"echo {n}", pod) for n in range(3)] == ["0\n", "1\n", "2\n"]
