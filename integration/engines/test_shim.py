"""containerd-shim-pyrunc-v1 by its own calls: events to containerd, answers to bad input, the command line."""

import json
import os
import resource
import threading
from collections.abc import Iterator

import pytest

from ground import Ground, wait_for
from pod import (
    DEADLINE,
    EXHAUSTED,
    EXISTS,
    INVALID,
    NAMESPACE,
    NOT_FOUND,
    PRECONDITION,
    Link,
    Pod,
    Refused,
    bind,
    finish,
    mounts,
    name,
    opened,
    outside,
    read_until,
    refused,
)
from pyrunc.shim.messages import decode, encode


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with Ground("shim") as made:
        yield made


def test_a_life_and_its_events_in_order(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exit 7")
    status = link.call("Wait", id=c)
    assert status["exit_status"] == 7 and status["exited_at"]["seconds"] > 1_700_000_000
    assert link.call("Delete", id=c)["exit_status"] == 7
    wait_for(lambda: pod.containerd.topics(c)[-1:] == ["delete"], "the last event")
    assert pod.containerd.topics(c) == ["create", "start", "exit", "delete"]


def test_events_of_an_exec(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 100")
    pod.exec(link, c, "e", ["sh", "-c", "exit 3"])
    pid = link.call("Start", id=c, exec_id="e")["pid"]
    assert link.call("Wait", id=c, exec_id="e")["exit_status"] == 3
    deleted = link.call("Delete", id=c, exec_id="e")
    assert (deleted["pid"], deleted["exit_status"]) == (pid, 3)
    finish(pod, link, c)
    wait_for(lambda: pod.containerd.topics(c)[-1:] == ["delete"], "the last event")
    told = ["create", "start", "exec-added", "exec-started", "exit", "exit", "delete"]
    assert pod.containerd.topics(c) == told


def test_events_wait_for_a_containerd_that_is_away(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exit 0")
    link = pod.start(c, bundle)
    pod.containerd.stop()
    pod.create(link, c, bundle)
    link.call("Start", id=c)
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    pod.containerd.start()
    wait_for(lambda: pod.containerd.topics(c)[-1:] == ["delete"], "the last event")
    assert pod.containerd.topics(c) == ["create", "start", "exit", "delete"]


def test_containerd_restarted_twenty_times_under_load(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 1000")
    stop = threading.Event()

    def restart() -> None:
        for _ in range(20):
            pod.containerd.stop()
            pod.containerd.start()
            stop.wait(0.05)

    thread = threading.Thread(target=restart)
    thread.start()
    count = 0
    while thread.is_alive():
        pod.exec(link, c, f"e{count}", ["true"])
        link.call("Start", id=c, exec_id=f"e{count}")
        assert link.call("Wait", id=c, exec_id=f"e{count}").get("exit_status", 0) == 0
        link.call("Delete", id=c, exec_id=f"e{count}")
        count += 1
    finish(pod, link, c)
    wait_for(lambda: pod.containerd.topics(c)[-1:] == ["delete"], "the last event")
    exits = [event["id"] for topic, event in pod.containerd.events if topic == "/tasks/exit"]
    # Events in transit when containerd was killed are sent again; none is missing or out of order.
    assert list(dict.fromkeys(exits)) == [*(f"e{number}" for number in range(count)), c]


def test_events_by_the_publishing_binary(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exit 0")
    log = pod.ground.directory / pod.group / "published"
    binary = pod.ground.directory / pod.group / "publish"
    binary.write_text(f'#!/bin/sh\necho "$*" >> {log}\ncat > /dev/null\n')
    binary.chmod(0o755)
    done = pod.command(c, bundle, "-publish-binary", str(binary), "start", TTRPC_ADDRESS="")
    link = Link(pod.ground.path(done.stdout.decode().removeprefix("unix://")))
    pod.links.append(link)
    pod.create(link, c, bundle)
    link.call("Start", id=c)
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    wait_for(lambda: log.exists() and log.read_text().count("\n") == 4, "the events")
    lines = log.read_text().splitlines()
    assert [line.split()[4].rpartition("/")[2] for line in lines] == ["create", "start", "exit", "delete"]
    assert lines[0].startswith("--address ") and lines[0].endswith(f"--namespace {NAMESPACE}")


def test_calls_that_can_not_be(pod: Pod) -> None:
    c = name(pod)
    link = pod.run(c, "exec sleep 100")
    for method in ("State", "Start", "Kill", "Delete", "Wait", "Pids", "Stats", "Pause", "Exec", "CloseIO"):
        refused(NOT_FOUND, link.call, method, id="nonesuch")
    bundle = pod.ground.directory / pod.group / c
    refused(EXISTS, pod.create, link, c, bundle)
    pod.exec(link, c, "e", ["true"])
    refused(EXISTS, pod.exec, link, c, "e", ["true"])
    refused(PRECONDITION, link.call, "Delete", id=c)
    refused(PRECONDITION, link.call, "Start", id=c)
    refused(INVALID, link.call, "Exec", id=c, exec_id="f", spec={"type_url": "x/Process", "value": b"["})
    refused(INVALID, link.call, "Exec", id=c, exec_id="f", spec={"type_url": "x/Other", "value": b"{}"})
    refused(INVALID, link.call, "ResizePty", id=c, width=80, height=24)
    refused(INVALID, link.call, "Kill", id=c, signal=65)
    refused(NOT_FOUND, link.call, "State", id=c, exec_id="nonesuch")
    assert link.call("State", id=c)["status"] == 2
    finish(pod, link, c)
    refused(NOT_FOUND, link.call, "State", id=c)


def test_a_wrong_spec_leaves_nothing(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "true", lambda config: config["process"].update(cwd="relative"))
    link = pod.start(c, bundle)
    message = refused(INVALID, pod.create, link, c, bundle)
    assert message.startswith("OCI runtime create failed: process.cwd: ")
    assert not any(str(bundle) in mount for mount in mounts(pod))
    refused(NOT_FOUND, link.call, "State", id=c)


def test_a_program_that_is_not_there(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, ["nonesuch"])
    link = pod.start(c, bundle)
    message = refused(2, pod.create, link, c, bundle)
    assert message.startswith("OCI runtime create failed: ") and "executable file not found in $PATH" in message
    link = pod.run(name(pod, "b"), "exec sleep 100")
    pod.exec(link, name(pod, "b"), "e", ["nonesuch"])
    with pytest.raises(Refused, match="OCI runtime exec failed: .*executable file not found in .PATH"):
        link.call("Start", id=name(pod, "b"), exec_id="e")
    assert link.call("Wait", id=name(pod, "b"), exec_id="e")["exit_status"] == 127
    link.call("Delete", id=name(pod, "b"), exec_id="e")
    finish(pod, link, name(pod, "b"))


def test_a_fifo_that_nobody_opens(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "true")
    link = pod.start(c, bundle)
    begun = link.send("Create", id=c, bundle=str(bundle), stdout=str(pod.fifo("out")), rootfs=bind())
    assert link.call("Connect", id="x")["shim_pid"], "others are not held up"
    assert "nobody opened it for reading" in refused(DEADLINE, link.take, begun)
    assert not any(str(bundle) in mount for mount in mounts(pod))


def test_no_descriptor_left(pod: Pod) -> None:
    c, d = name(pod), name(pod, "b")
    link = pod.run(c, "exec sleep 100")
    bundle = pod.bundle(d, "exit 5")
    pid = outside(pod, pod.shim())
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, 1024))
    message = refused(EXHAUSTED, pod.create, link, d, bundle)
    assert "too many open files" in message.lower()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, 1024))
    pod.create(link, d, bundle)
    link.call("Start", id=d)
    assert link.call("Wait", id=d)["exit_status"] == 5
    link.call("Delete", id=d)
    finish(pod, link, c)


def test_version_and_info(pod: Pod) -> None:
    bundle = pod.bundle(name(pod), "true")
    assert pod.command("c", bundle, "-v").stdout.startswith(b"containerd-shim-pyrunc-v1:\n  Version:  ")
    info = decode("RuntimeInfo", pod.command("c", bundle, "-info", given=encode("Any", {"type_url": "t"})).stdout)
    assert info["name"] == "io.containerd.pyrunc.v1" and info["options"] == {"type_url": "t"}
    assert json.loads(info["features"]["value"])["ociVersionMax"]


def test_the_log_is_what_containerd_reads(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "exit 0")
    os.mkfifo(bundle / "log")
    reader = opened(bundle / "log")
    link = pod.start(c, bundle)
    refused(NOT_FOUND, link.call, "State", id="nonesuch")
    line = read_until(reader, b"does not exist").decode()
    assert line.startswith('time="2') and ' level=debug msg="shim: State: ' in line
    os.close(reader)
