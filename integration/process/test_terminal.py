"""Terminals: the caller's in the foreground, and the console socket of a detached process."""

import array
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box


def with_terminal(rows: int = 0, columns: int = 0) -> Any:
    def change(config: dict[str, Any]) -> None:
        config["process"]["terminal"] = True
        if rows:
            config["process"]["consoleSize"] = {"height": rows, "width": columns}

    return change


def set_size(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(master: int, words: str, seconds: float = 20.0) -> str:
    """Reads from the terminal up to ``words``, or to the end."""
    text = ""
    end = time.monotonic() + seconds
    while words not in text or not words:
        assert time.monotonic() < end, text
        if select.select([master], [], [], 0.5)[0]:
            try:
                data = os.read(master, 4096)
            except OSError:  # EIO: the last slave is closed
                break
            if not data:
                break
            text += data.decode()
    return text


@contextmanager
def terminal(box: Box, *words: str) -> "Iterator[tuple[int, subprocess.Popen[bytes]]]":
    """(master, process) of pyrunc with ``words`` in a terminal of 33 rows and 99 columns."""
    master, slave = pty.openpty()
    set_size(slave, 33, 99)
    process = subprocess.Popen(
        [PYRUNC, "--root", str(box.root), *words], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield master, process
    finally:
        process.kill()
        process.wait()
        os.close(master)


class ConsoleSocket:
    """Receives one terminal's master."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()

    def receive(self) -> int:
        self.server.settimeout(20)
        connection, _ = self.server.accept()
        with connection:
            _, rights, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(4))
        descriptors = array.array("i")
        descriptors.frombytes(rights[0][2])
        return descriptors[0]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleSocket]:
    made = ConsoleSocket(tmp_path / "console")
    yield made
    made.server.close()


LOOK = "tty; stty size; stty -a | tr ' ;' '\\n\\n' | grep onlcr; ls -l /dev/console | cut -c1; exit 7"


def test_run_in_the_foreground(box: Box) -> None:
    bundle = str(box.bundle(LOOK, with_terminal()))
    with terminal(box, "run", "-b", bundle, box.new_id()) as (master, process):
        text = read_until(master, "")
        assert text in ("/dev/pts/0\n33 99\n-onlcr\nc\n", "/dev/pts/0\n33 99\n-onlcr\n-\n")
        assert process.wait(20) == 7


def test_the_size_follows_ours(box: Box) -> None:
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    bundle = str(box.bundle(script, with_terminal()))
    with terminal(box, "run", "-b", bundle, box.new_id()) as (master, process):
        read_until(master, "ready")
        set_size(master, 44, 111)
        process.send_signal(signal.SIGWINCH)
        assert "44 111" in read_until(master, "")


def test_keys_reach_it(box: Box) -> None:
    """The caller's terminal is raw: the container's terminal turns the interrupt character into a signal."""
    bundle = str(
        box.bundle("trap 'echo interrupted; exit 3' INT; echo ready; read x; echo got $x; read y", with_terminal())
    )
    with terminal(box, "run", "-b", bundle, box.new_id()) as (master, process):
        read_until(master, "ready")
        os.write(master, b"word\n")
        read_until(master, "got word")
        os.write(master, b"\x03")
        assert "interrupted" in read_until(master, "")
        assert process.wait(20) == 3


def test_our_terminal_is_as_it_was(box: Box) -> None:
    bundle = str(box.bundle("echo x", with_terminal()))
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    command = [PYRUNC, "--root", str(box.root), "run", "-b", bundle, box.new_id()]
    subprocess.run(command, stdin=slave, stdout=slave, stderr=slave, check=True, timeout=30)
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("detached", [False, True])
def test_a_console_socket(box: Box, console: ConsoleSocket, detached: bool) -> None:
    """create, with the size from config.json, and run -d."""
    words = ("run", "-d") if detached else ("create",)
    name = box.new_id()
    bundle = str(box.bundle("tty; stty size; read x; echo got $x", with_terminal(44, 111)))
    box.ok(*words, "-b", bundle, "--console-socket", str(console.path), name)
    master = console.receive()
    try:
        if not detached:
            box.ok("start", name)
        read_until(master, "44 111")
        os.write(master, b"word\n")
        assert "got word" in read_until(master, "got word")
    finally:
        os.close(master)


@pytest.mark.parametrize("socket_", [False, True])
def test_exec_with_a_terminal(box: Box, console: ConsoleSocket, socket_: bool) -> None:
    name = box.start("sleep 100")
    script = "tty; stty size; exit 5"
    if socket_:
        box.ok("exec", "-t", "-d", "--console-socket", str(console.path), name, "sh", "-c", script)
        master = console.receive()
        assert "/dev/pts/" in read_until(master, "")
        os.close(master)
        return
    with terminal(box, "exec", "-t", name, "sh", "-c", script) as (master, process):
        assert read_until(master, "") == "/dev/pts/0\n33 99\n"
        assert process.wait(20) == 5


@pytest.mark.parametrize("command", [("create",), ("run", "-d")])
def test_a_detached_terminal_needs_a_console_socket(box: Box, command: tuple[str, ...]) -> None:
    done = box.call(*command, "-b", str(box.bundle("true", with_terminal())), box.new_id())
    assert done.returncode == 1
    assert done.stderr == (
        "pyrunc: process.terminal: cannot allocate tty if pyrunc will detach without setting console socket\n"
    )
    assert not box.leftovers()


def test_a_console_socket_without_a_terminal(box: Box, console: ConsoleSocket) -> None:
    done = box.call("create", "-b", str(box.bundle("true")), "--console-socket", str(console.path), box.new_id())
    assert done.returncode == 1 and "cannot use console socket" in done.stderr and not box.leftovers()


def test_a_console_socket_without_a_listener(box: Box) -> None:
    bundle = str(box.bundle("true", with_terminal()))
    done = box.call("create", "-b", bundle, "--console-socket", "/nowhere", box.new_id())
    assert done.returncode == 1 and done.stderr == "pyrunc: console socket /nowhere: no such file or directory\n"
    assert not box.leftovers()
