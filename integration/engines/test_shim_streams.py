"""containerd-shim-pyrunc-v1: FIFOs, terminals, log files and loggers."""

import os
import time
from collections.abc import Iterator

import pytest

from ground import Ground, wait_for
from pod import (
    INVALID,
    NAMESPACE,
    Pod,
    finish,
    name,
    opened,
    read_until,
    refused,
)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with Ground("shim-streams") as made:
        yield made


def test_a_reader_that_vanishes_and_comes_back(pod: Pod) -> None:
    c, out = name(pod), pod.fifo("out")
    reader = opened(out)
    link = pod.run(
        c, "echo one; read x; echo two; read x; echo three; exec sleep 100", stdout=str(out), stdin=str(pod.fifo("in"))
    )
    read_until(reader, b"one\n")
    os.close(reader)
    writer = os.open(pod.ground.directory / pod.group / "in.fifo", os.O_WRONLY)
    os.write(writer, b"\n")
    time.sleep(0.1)  # without a reader the program must go on
    os.close(writer)  # a writer that closes does not end the input
    reader = opened(out)
    read_until(reader, b"two\n")
    writer = os.open(pod.ground.directory / pod.group / "in.fifo", os.O_WRONLY)
    os.write(writer, b"\n")
    read_until(reader, b"three\n")
    finish(pod, link, c)
    os.close(reader)
    os.close(writer)


def test_a_slow_reader_slows_only_its_own_container(pod: Pod) -> None:
    c, d, out = name(pod), name(pod, "b"), pod.fifo("out")
    reader = opened(out)
    link = pod.run(c, "head -c 1000000 /dev/zero | tr '\\0' y; echo end", stdout=str(out))
    other = pod.run(d, "exit 4")
    assert other.call("Wait", id=d)["exit_status"] == 4
    other.call("Delete", id=d)
    assert link.call("State", id=c)["status"] == 2
    assert read_until(reader, b"end\n").count(b"y") == 1_000_000
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    os.close(reader)


def test_input_ends_with_closeio(pod: Pod) -> None:
    c, out = name(pod), pod.fifo("out")
    reader = opened(out)
    link = pod.run(c, "cat; echo end", stdout=str(out), stdin=str(pod.fifo("in")))
    writer = os.open(pod.ground.directory / pod.group / "in.fifo", os.O_WRONLY)
    os.write(writer, b"hello\n")
    os.close(writer)
    read_until(reader, b"hello\n")
    assert link.call("State", id=c)["status"] == 2
    link.call("CloseIO", id=c, stdin=True)
    read_until(reader, b"end\n")
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    os.close(reader)


def test_a_terminal_its_size_and_its_end(pod: Pod) -> None:
    c, out = name(pod), pod.fifo("out")
    reader = opened(out)
    change = lambda config: config["process"].update(terminal=True)  # noqa: E731
    script = "stty size; read x; stty size; echo got $x; exit 6"
    link = pod.run(c, script, stdout=str(out), stdin=str(pod.fifo("in")), terminal=True, change=change)
    link.call("ResizePty", id=c, width=101, height=33)
    writer = os.open(pod.ground.directory / pod.group / "in.fifo", os.O_WRONLY)
    os.write(writer, b"word\n")
    text = read_until(reader, b"got word")
    assert b"33 101" in text
    assert link.call("Wait", id=c)["exit_status"] == 6
    link.call("Delete", id=c)
    os.close(reader)
    os.close(writer)


def test_a_terminal_whose_reader_is_slow_and_vanishes(pod: Pod) -> None:
    c, out = name(pod), pod.fifo("out")
    reader = opened(out)
    change = lambda config: config["process"].update(terminal=True)  # noqa: E731
    # The program stays: at the end of a terminal's last process the kernel drops output that was not read.
    script = "head -c 300000 /dev/zero | tr '\\0' y; echo; echo end; exec sleep 1000"
    link = pod.run(c, script, stdout=str(out), terminal=True, change=change)
    os.close(reader)
    assert link.call("State", id=c)["status"] == 2
    reader = opened(out)
    assert read_until(reader, b"\nend\n").count(b"y") == 300_000
    finish(pod, link, c)
    os.close(reader)


def test_a_log_file_and_a_full_disk(pod: Pod) -> None:
    c, d = name(pod), name(pod, "b")
    log = pod.ground.directory / pod.group / "logs" / "sub" / "c.log"
    link = pod.run(c, "echo out; echo err >&2", stdout=f"file://{log}", stderr=f"file://{log}")
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    assert sorted(log.read_text().splitlines()) == ["err", "out"]
    full = pod.run(d, "echo lost; exit 3", stdout="file:///dev/full")
    assert full.call("Wait", id=d)["exit_status"] == 3
    full.call("Delete", id=d)


def test_a_logger(pod: Pod) -> None:
    c = name(pod)
    directory = pod.ground.directory / pod.group
    logger = directory / "logger"
    script = 'exec 5>&-; echo "$CONTAINER_ID $CONTAINER_NAMESPACE $*" > "$2"; cat <&3 >> "$2"; cat <&4 >> "$2"; echo done >> "$2"'
    logger.write_text(f"#!/bin/sh\n{script}\n")
    logger.chmod(0o755)
    link = pod.run(c, "echo out; echo err >&2", stdout=f"binary://{logger}?to={directory}/log&flag")
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    wait_for(lambda: (directory / "log").read_text().endswith("done\n"), "the logger")
    assert (directory / "log").read_text() == f"{c} {NAMESPACE} to {directory}/log flag\nout\nerr\ndone\n"


def test_a_logger_that_fails(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "true")
    link = pod.start(c, bundle)
    refused(2, pod.create, link, c, bundle, stdout="binary:///nonesuch")
    refused(INVALID, pod.create, link, c, bundle, stdout="nonesuch:///x")
