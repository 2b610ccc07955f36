"""containerd-shim-pyrunc-v1: the end of containers, processes and the shim itself, and limits."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ground import SHIM, Ground, wait_for
from pod import (
    PRECONDITION,
    Pod,
    finish,
    mounts,
    name,
    refused,
)
from pyrunc.shim.messages import decode


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with Ground("shim-ends") as made:
        yield made


@pytest.mark.parametrize("step", ["started", "created", "running", "paused", "exited"])
def test_the_shim_killed_and_delete_cleans_up(pod: Pod, step: str) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exit 0" if step == "exited" else "exec sleep 1000")
    link = pod.start(c, bundle)
    socket = Path((bundle / "address").read_text().removeprefix("unix://"))
    pid = 0
    if step != "started":
        pid = pod.create(link, c, bundle)["pid"]
    if step in ("running", "paused", "exited"):
        link.call("Start", id=c)
    if step == "paused":
        link.call("Pause", id=c)
    if step == "exited":
        link.call("Wait", id=c)
    pod.kill_shim()
    done = pod.command(c, bundle, "-bundle", str(bundle), "delete")
    assert done.returncode == 0, done.stderr
    answer = decode("DeleteResponse", done.stdout)
    assert (answer.get("pid", 0), answer["exit_status"]) == (pid, 137)
    pod.ground.settle()
    assert not any(str(bundle) in mount for mount in mounts(pod))
    assert not pod.ground.path(str(socket)).exists()


def deleted(pod: Pod, container: str) -> Path:
    """Returns the bundle of a container that ended with status 7 and was deleted."""
    link = pod.run(container, "exit 7")
    link.call("Wait", id=container)
    assert link.call("Delete", id=container)["exit_status"] == 7
    return pod.ground.directory / pod.group / container


def test_delete_after_an_orderly_end_tells_what_the_server_told(pod: Pod) -> None:
    c = name(pod)
    bundle = deleted(pod, c)
    socket = pod.ground.path((bundle / "address").read_text().removeprefix("unix://"))
    pod.links[0].call("Shutdown", id="")
    wait_for(lambda: not socket.exists(), "the shim's end")
    done = pod.command(c, bundle, "-bundle", str(bundle), "delete")
    assert decode("DeleteResponse", done.stdout)["exit_status"] == 7


def test_delete_after_an_orderly_end_starts_no_interpreter(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "deleted").write_bytes(b"answer")
    (tmp_path / "address").write_text(f"unix://{tmp_path}/socket")
    alone = tmp_path / SHIM.name
    shutil.copy(SHIM, alone)  # without the package beside it, only the launcher itself can answer
    command = [alone, "-namespace", "n", "-id", "x", "-address", "/a", "-publish-binary", "/b"]
    for words in (["-bundle", tmp_path, "delete"], ["delete"], ["-debug", "delete"]):
        done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"answer")
    (tmp_path / "socket").touch()
    for words in (["delete"], ["start"], ["delete", "more"], []):
        assert subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_the_shim_killed_after_delete_leaves_no_socket(pod: Pod) -> None:
    c = name(pod)
    bundle = deleted(pod, c)
    socket = pod.ground.path((bundle / "address").read_text().removeprefix("unix://"))
    pod.kill_shim()
    assert socket.exists()
    pod.command(c, bundle, "-bundle", str(bundle), "delete")
    assert not socket.exists()


def test_a_server_that_containerd_has_lost_ends(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exit 0")
    link = pod.start(c, bundle)
    pid = pod.shim()
    socket = pod.ground.path((bundle / "address").read_text().removeprefix("unix://"))
    shutil.rmtree(bundle)
    link.socket.close()
    wait_for(lambda: pid not in pod.ground.processes(), "the shim's end", 20)
    assert not socket.exists()


def test_init_killed_from_outside(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 1000")
    pod.ground.ok("kill", "-9", str(link.call("State", id=c)["pid"]))
    assert link.call("Wait", id=c)["exit_status"] == 137
    assert link.call("State", id=c)["status"] == 3
    link.call("Delete", id=c)


def test_init_killed_before_its_start(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exec sleep 1000")
    link = pod.start(c, bundle)
    pid = pod.create(link, c, bundle)["pid"]
    pod.ground.ok("kill", "-9", str(pid))
    assert link.call("Wait", id=c)["exit_status"] == 137
    refused(PRECONDITION, link.call, "Start", id=c)
    assert link.call("Delete", id=c)["exit_status"] == 137


def test_a_container_deleted_before_its_start(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exec sleep 1000")
    link = pod.start(c, bundle)
    pod.create(link, c, bundle)
    assert link.call("Delete", id=c)["exit_status"] == 137


def test_two_hundred_execs_at_once(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 1000")
    begun = []
    for number in range(200):
        pod.exec(link, c, f"e{number}", ["sh", "-c", f"exit {number}"])
        begun.append(link.send("Start", id=c, exec_id=f"e{number}"))
    pids = [link.take(one)["pid"] for one in begun]
    assert len(set(pids)) == 200
    statuses = [link.call("Wait", id=c, exec_id=f"e{number}").get("exit_status", 0) for number in range(200)]
    assert statuses == list(range(200))
    for number in range(200):
        link.call("Delete", id=c, exec_id=f"e{number}")
    finish(pod, link, c)


def test_containers_of_a_group_share_a_shim(pod: Pod) -> None:
    a, b = name(pod, "a"), name(pod, "b")
    first, second = pod.run(a, "exec sleep 100"), pod.run(b, "exec sleep 100")
    assert first.call("Connect", id=a)["shim_pid"] == second.call("Connect", id=b)["shim_pid"]
    finish(pod, first, a)
    first.call("Shutdown", id=a)  # not the pod's last container
    assert second.call("State", id=b)["status"] == 2
    finish(pod, second, b)
    pid = second.call("Connect", id=b)["shim_pid"]
    second.call("Shutdown", id=b)
    wait_for(lambda: pid not in pod.ground.processes(), "the shim's end")
    assert pod.ground.call("sh", "-c", "ls /run/containerd/s").stdout.strip() == ""


def test_signals_do_not_end_the_shim(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 100")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        pod.ground.ok("kill", f"-{number.value}", str(pod.shim()))
    assert link.call("State", id=c)["status"] == 2
    finish(pod, link, c)


def test_orphans_of_a_container_without_a_pid_namespace(pod: Pod) -> None:
    c = name(pod)

    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]

    link = pod.run(c, "(sleep 0.05 &) ; (sleep 1000 &) ; exec sleep 0.2", change=change)
    assert link.call("Wait", id=c).get("exit_status", 0) == 0
    link.call("Delete", id=c)
    wait_for(
        lambda: not any("zombie" in words or "sleep 1000" in words for words in pod.ground.processes().values()),
        "the orphans' end",
    )


def test_out_of_memory_is_told(pod: Pod) -> None:
    c = name(pod)
    limit = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    link = pod.run(c, "tail -c 200m /dev/zero", change=lambda config: config["linux"].update(resources=limit))
    assert link.call("Wait", id=c)["exit_status"] in (137, 1)
    wait_for(lambda: "oom" in pod.containerd.topics(c), "the event")
    link.call("Delete", id=c)
    assert pod.containerd.topics(c).count("oom") >= 1


def test_limits_statistics_and_pause(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 100")
    resources = {"type_url": "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"}
    link.call("Update", id=c, resources={**resources, "value": json.dumps({"pids": {"limit": 77}}).encode()})
    from pyrunc.shim.metrics import CODECS

    stats = link.call("Stats", id=c)["stats"]
    found = CODECS[stats["type_url"]].decode("Metrics", stats["value"])
    assert found["pids"] == {"current": 1, "limit": 77} and found["memory"]["usage"]
    link.call("Pause", id=c)
    assert link.call("State", id=c)["status"] == 4
    link.call("Resume", id=c)
    pod.exec(link, c, "e", ["sleep", "100"])
    pid = link.call("Start", id=c, exec_id="e")["pid"]
    processes = link.call("Pids", id=c)["processes"]
    assert {process["pid"] for process in processes} == {pid, link.call("State", id=c)["pid"]}
    (details,) = [process["info"]["value"] for process in processes if process["pid"] == pid]
    assert decode("ProcessDetails", details) == {"exec_id": "e"}
    link.call("Kill", id=c, signal=9, all=True)
    assert link.call("Wait", id=c, exec_id="e")["exit_status"] == 137
    link.call("Wait", id=c)
    assert pod.containerd.topics(c).count("paused") == pod.containerd.topics(c).count("resumed") == 1
    link.call("Delete", id=c)
