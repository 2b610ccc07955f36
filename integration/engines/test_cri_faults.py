"""CRI: answers to bad input, and the state after a fault: a killed shim, sandbox or engine."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cri import TRAP, Cri, ready
from ground import Ground, wait_for

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with ready("cri-faults", archive) as made:
        yield made


COMMANDS = {
    "missing": (["nonesuch"], 'exec: "nonesuch": executable file not found in $PATH'),
    "missing path": (["/no/such"], "/no/such: no such file or directory"),
    "not executable": (["/etc/plain"], "permission denied"),
}


@pytest.mark.parametrize(("command", "words"), COMMANDS.values(), ids=list(COMMANDS))
def test_wrong_command_is_told(cri: Cri, command: list[str], words: str) -> None:
    pod = cri.pod()
    container = cri.create(pod, command)
    assert words in cri.error("StartContainer", container_id=container)
    status = cri.status(container)
    assert (status.state, status.exit_code, status.reason) == (cri.types.CONTAINER_EXITED, 128, "StartError")
    assert words in status.message
    assert cri.out("echo next", pod) == "next\n"


OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "directory": ({"working_dir": "/data/file"}, ["/data/file", "not a directory"]),
    "mount target": (
        {"mounts": [{"container_path": "/data/file", "host_path": "/tmp"}]},
        ["/data/file", "not a directory"],
    ),
    "seccomp file": (
        {"security": {"seccomp": {"profile_type": "Localhost", "localhost_ref": "/no/such"}}},
        ["/no/such"],
    ),
    "user": ({"security": {"run_as_username": "nonesuch"}}, ["no users found"]),
    "device": ({"devices": [{"container_path": "/dev/x", "host_path": "/dev/nonesuch"}]}, ["/dev/nonesuch"]),
    "cpus": ({"resources": {"cpuset_cpus": "99"}}, ["cpuset.cpus"]),
}


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=list(OPTIONS))
def test_bad_option_is_told(cri: Cri, options: dict[str, Any], words: list[str]) -> None:
    pod = cri.pod()
    security = dict(options.get("security", {}))
    try:
        container = cri.create(pod, "true", **{**options, "security": security})
    except Exception as error:
        told = str(error)
    else:
        told = cri.error("StartContainer", container_id=container)
    assert all(word in told for word in words) and "Traceback" not in told, told
    assert cri.out("echo next", pod) == "next\n"


def test_engine_restarts_while_a_pod_runs(cri: Cri) -> None:
    pod = cri.pod()
    container = cri.start(pod, TRAP)
    daemon = cri.ground.daemons[0]
    for number in (signal.SIGTERM, signal.SIGKILL):
        daemon.stop(number)
        daemon.start(lambda: cri.answers())
        assert cri.status(container).state == cri.types.CONTAINER_RUNNING
        assert cri.said(container, "echo", "still") == "still\n"
    cri.call("StopContainer", container_id=container, timeout=20)
    assert cri.status(container).exit_code == 6


def test_killed_shim_leaves_nothing(cri: Cri) -> None:
    pod = cri.pod()
    container = cri.start(pod)
    shims = [pid for pid, words in cri.ground.others().items() if "containerd-shim" in words]
    assert len(shims) == 1
    cri.ground.ok("kill", "-9", str(shims[0]))
    wait_for(lambda: cri.status(container).state != cri.types.CONTAINER_RUNNING, "the end to be noticed")
    cri.remove_all()
    cri.ground.settle()


def test_killed_sandbox_is_noticed(cri: Cri) -> None:
    pod = cri.pod()

    def sandboxes() -> list[int]:
        return [pid for pid, words in cri.ground.others().items() if words == "sleep 100000000"]

    pid = wait_for(sandboxes, "the sandbox's process")[0]
    cri.ground.ok("kill", "-9", str(pid))
    wait_for(
        lambda: cri.call("PodSandboxStatus", pod_sandbox_id=pod).status.state == cri.types.SANDBOX_NOTREADY,
        "the pod to be not ready",
    )


def test_five_pods_at_once(cri: Cri) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(5) as pool:
        pods = list(pool.map(lambda _: cri.pod(), range(5)))
        containers = list(pool.map(cri.start, pods))
    assert {cri.status(container).state for container in containers} == {cri.types.CONTAINER_RUNNING}
