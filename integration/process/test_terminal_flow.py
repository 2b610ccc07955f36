"""Much data through a terminal, in both directions, with slow, stopped or missing readers (runc hangs in some)."""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_terminal import ConsoleSocket, with_terminal

from harness import PYRUNC, Box, wait_for

MUCH = 100 << 20
PATTERN = bytes(range(256)) * 256


def words_of(box: Box, command: str, script: str) -> list[str]:
    """Returns the command line that runs ``script`` in a terminal."""
    if command == "run":
        return ["run", "-b", str(box.bundle(script, with_terminal())), box.new_id()]
    return ["exec", "-t", box.start("sleep 1000"), "sh", "-c", script]


@contextmanager
def piped(box: Box, command: str, script: str) -> "Iterator[subprocess.Popen[bytes]]":
    """pyrunc between two pipes."""
    process = subprocess.Popen(
        [PYRUNC, "--root", str(box.root), *words_of(box, command, script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def feed(descriptor: int, total: int) -> threading.Thread:
    """Writes ``total`` bytes of the pattern, in a thread."""

    def write() -> None:
        left = total
        try:
            while left:
                left -= os.write(descriptor, PATTERN[: min(left, len(PATTERN))])
        except OSError:
            pass

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def waiting_bytes(process: "subprocess.Popen[bytes]") -> int:
    """Returns the number of bytes in the pipe of the process's output."""
    assert process.stdout
    return int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)


def digest(total: int) -> str:
    made = hashlib.md5()
    for _ in range(total // len(PATTERN)):
        made.update(PATTERN)
    return made.hexdigest()


def until(descriptor: int, words: bytes) -> bytes:
    text = b""
    while words not in text:
        data = os.read(descriptor, 65536)
        assert data, text
        text += data
    return text


@pytest.mark.parametrize("command", ["run", "exec"])
def test_what_is_piped_in_arrives(box: Box, command: str) -> None:
    script = f"stty raw -echo; echo ready; head -c {MUCH} | md5sum"
    with piped(box, command, script) as process:
        assert process.stdin and process.stdout
        until(process.stdout.fileno(), b"ready")
        feed(process.stdin.fileno(), MUCH)
        assert digest(MUCH).encode() in until(process.stdout.fileno(), b"-")
        assert process.wait(20) == 0


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_slow_reader_gets_everything(box: Box, command: str) -> None:
    """The reader pauses at the beginning and at the end; it receives the remaining output after the program's end."""
    script = f"stty raw -echo; yes 0123456789abcde | head -c {MUCH}"
    with piped(box, command, script) as process:
        assert process.stdout
        found = 0
        while found < MUCH:
            if found < 100_000 or MUCH - found < 100_000:
                time.sleep(0.01)  # a slow reader
                data = os.read(process.stdout.fileno(), 4096)
            else:
                data = os.read(process.stdout.fileno(), 65536)
            assert data, found
            found += len(data)
        assert os.read(process.stdout.fileno(), 1) == b""
        assert process.wait(20) == 0 and found == MUCH


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_program_that_reads_a_part(box: Box, command: str) -> None:
    with piped(box, command, "head -n 20000 | tail -n 1") as process:
        assert process.stdin and process.stdout
        lines = b"".join(b"line %d of many, to make two megabytes of them\n" % number for number in range(40000))

        def write() -> None:
            try:
                os.write(process.stdin.fileno(), lines)  # type: ignore[union-attr]
            except OSError:
                pass

        threading.Thread(target=write, daemon=True).start()
        tail = b""
        while data := os.read(process.stdout.fileno(), 65536):
            tail = (tail + data)[-4096:]
        assert b"line 19999 of many" in tail
        assert process.wait(20) == 0


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_program_that_never_reads(box: Box, command: str) -> None:
    with piped(box, command, "stty raw -echo; echo ready; sleep 0.5; exit 3") as process:
        assert process.stdin and process.stdout
        until(process.stdout.fileno(), b"ready")
        feed(process.stdin.fileno(), 2 << 20)
        assert process.wait(20) == 3


@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_output_has_no_reader_any_more(box: Box, command: str) -> None:
    """As with any closed terminal, the session is hung up."""
    with piped(box, command, "echo ready; exec yes") as process:
        assert process.stdout
        until(process.stdout.fileno(), b"ready")
        process.stdout.close()
        # Init of a pid namespace ignores SIGHUP (pid_namespaces(7)); its next write fails.
        assert process.wait(20) == (128 + signal.SIGHUP if command == "exec" else 1)
        assert process.stderr and process.stderr.read() == b""


def test_output_that_waits_for_a_reader_does_not_hide_the_end(box: Box) -> None:
    """Without a reader, after the container is killed, a signal to pyrunc ends it, and nothing is left."""
    with piped(box, "run", "exec yes") as process:
        name = box.ids[-1]
        full: list[int] = []
        wait_for(lambda: full.append(waiting_bytes(process)) or full[-1:] * 20 == full[-20:], "the pipe to be full")
        box.ok("kill", name, "KILL")
        box.await_status(name, "stopped")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGKILL
        assert not box.leftovers()


def test_input_that_ends_is_the_programs_end_of_file(box: Box) -> None:
    done = box.run("stty -echo; echo ready; cat; echo over", with_terminal(), input="half a line")
    assert done.returncode == 0 and done.stdout.endswith("half a lineover\n"), done


def test_our_pipes_stay_as_they_are(box: Box) -> None:
    """O_NONBLOCK would affect every process that shares the pipes."""
    with piped(box, "run", "echo ready; read x") as process:
        assert process.stdin and process.stdout
        until(process.stdout.fileno(), b"ready")
        for number in (0, 1):
            flags = int(Path(f"/proc/{process.pid}/fdinfo/{number}").read_text().split()[3], 8)
            assert not flags & os.O_NONBLOCK
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(20) == 0


def test_much_through_a_console_socket(box: Box, tmp_path: Path) -> None:
    """Here pyrunc does not copy: both directions at once, with a program that echoes its input."""
    console = ConsoleSocket(tmp_path / "console")
    bundle = str(box.bundle(f"stty raw -echo; echo ready; head -c {MUCH}", with_terminal()))
    box.ok("run", "-d", "-b", bundle, "--console-socket", str(console.path), box.new_id())
    master = console.receive()
    console.server.close()
    until(master, b"ready")
    feed(master, MUCH)
    made = hashlib.md5()
    found = -1  # the newline of "ready", which may have been read already
    rest = b""
    while len(rest) + found < MUCH - 2:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if found < 0:
            data = data.lstrip(b"\r\n")
            found = 0
        made.update(data)
        found += len(data)
    os.close(master)
    assert found == MUCH and made.hexdigest() == digest(MUCH)


STOPPER = """
while :; do for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || kill -STOP $p; done; done 2>/dev/null
"""


def stopped_helpers(pid: int) -> list[int]:
    """Returns stopped children of ``pid`` that have not executed their program yet."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if stopped(child)]
    except OSError:  # the process has ended meanwhile
        return []


def stopped(pid: str) -> bool:
    waits = b"pyrunc-init" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return waits and "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()


@contextmanager
def stopped_exec(box: Box, name: str, words: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A pyrunc exec whose helper the container has stopped. Tries often, because the container is mostly too late."""
    for _ in range(50):
        process = subprocess.Popen(
            [PYRUNC, "--root", str(box.root), "exec", *words, name, "sleep", "99"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            end = time.monotonic() + 0.5
            while process.poll() is None and time.monotonic() < end:
                if stopped_helpers(process.pid):
                    yield process
                    return
        finally:
            process.kill()
            process.wait()
            assert process.stderr
            process.stderr.close()
    pytest.skip("no helper was stopped in 50 tries")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("words", [[], ["-t"], ["-d"]], ids=["foreground", "terminal", "detached"])
def test_a_container_that_stops_what_comes_in(box: Box, number: signal.Signals, words: list[str]) -> None:
    name = box.start(STOPPER)
    with stopped_exec(box, name, words) as process:
        helpers = stopped_helpers(process.pid)
        time.sleep(0.3)  # later than the time at which it begins to handle signals
        process.send_signal(number)
        assert process.wait(20) == (-signal.SIGTERM if number == signal.SIGTERM else 130)
        assert process.stderr
        said = b"ended by signal 15" if number == signal.SIGTERM else b"interrupted"
        assert process.stderr.read() == b"pyrunc: %s\n" % said
        assert not any(Path(f"/proc/{helper}").exists() for helper in helpers)
