"""Runs a command in a guest and forwards its output, its errors and its exit status."""

import fcntl
import json
import os
import secrets
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from boot import PORTS, Guest

READY_SECONDS = 240.0
"""Time for a guest to boot under emulation on a busy machine."""
LAST_WORDS_SECONDS = 45.0
"""Time for an interrupted command to report, after this program's own timeout."""

Sink = Callable[[bytes], object]


class Frames:
    """The host's side of image/usr/local/lib/pyrunc-guest.py's protocol."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pending = b""

    def send(self, kind: bytes, content: bytes = b"") -> None:
        self.connection.sendall(kind + struct.pack(">I", len(content)) + content)

    def receive(self) -> bool:
        content = self.connection.recv(65536)
        self.pending += content
        return bool(content)

    def greet(self, request: dict[str, Any], alive: Callable[[], bool], seconds: float) -> None:
        """Sends the request and waits until the guest accepts it; leftover output of an earlier command is dropped."""
        token = secrets.token_hex(8)
        self.connection.sendall(f"\0run {token} {json.dumps(request)}\n".encode())
        answer = f"\0hello {token}\n".encode()
        end = time.monotonic() + seconds
        while answer not in self.pending:
            if not select.select([self.connection], [], [], 1)[0]:
                if time.monotonic() > end or not alive():
                    raise SystemExit("guest: it does not answer, its console's log tells why")
            elif not self.receive():
                raise SystemExit("guest: QEMU has closed the port")
        self.pending = self.pending.partition(answer)[2]

    def complete(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self.pending) >= 5:
            (length,) = struct.unpack(">I", self.pending[1:5])
            if len(self.pending) < 5 + length:
                return
            kind, content = self.pending[:1], self.pending[5 : 5 + length]
            self.pending = self.pending[5 + length :]
            yield kind, content


@contextmanager
def free_port(guest: Guest) -> Iterator[socket.socket]:
    """A connection to a port that no other client uses."""
    while True:
        for number in range(PORTS):
            with (guest.directory / f"{number}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(guest.directory / str(number)))
                    yield connection
                return
        time.sleep(0.1)


def run(
    guest: Guest, args: list[str], *, user: str = "root", login: bool = False, cwd: str = "",
    env: dict[str, str] | None = None, stdin: int | None = None, out: Sink | None = None, err: Sink | None = None,
    ready_seconds: float = READY_SECONDS,
) -> int:  # fmt: skip
    """Runs ``args`` in the guest; returns the exit status. ``stdin``: a descriptor; ``out``, ``err`` take bytes."""
    request = {"args": args, "user": user, "login": login, "cwd": cwd, "env": env or {}}
    out, err = out or (lambda content: os.write(1, content)), err or (lambda content: os.write(2, content))
    with free_port(guest) as connection:
        frames = Frames(connection)
        frames.greet(request, guest.runs, ready_seconds)
        if stdin is None:
            frames.send(b"i")
        with interrupts(frames):
            try:
                return exchange(frames, stdin, out, err)
            except SystemExit:  # A signal to this process: output of the command is forwarded first.
                with suppress(OSError, TimeoutError, SystemExit):  # Treated like a guest that has ended.
                    frames.send(b"s", str(int(signal.SIGINT)).encode())
                    exchange(frames, None, out, err, LAST_WORDS_SECONDS)
                raise


def exchange(frames: Frames, stdin: int | None, out: Sink, err: Sink, seconds: float | None = None) -> int:
    """Forwards data in both directions until the command has ended; returns its exit status."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        for kind, content in frames.complete():
            if kind == b"x":
                return int(content)
            (out if kind == b"o" else err)(content)
        left = None if end is None else max(0.0, end - time.monotonic())
        ready = select.select([frames.connection, *([] if stdin is None else [stdin])], [], [], left)[0]
        if not ready:
            raise TimeoutError
        if frames.connection in ready and not frames.receive():
            raise SystemExit("guest: it has ended before the command")
        if stdin in ready:
            content = os.read(stdin, 32768)
            frames.send(b"i", content)
            stdin = stdin if content else None


@contextmanager
def interrupts(frames: Frames) -> Iterator[None]:
    """Forwards ^C to the command in the guest."""
    with suppress(ValueError):  # Not in the main thread.
        before = signal.signal(signal.SIGINT, lambda number, frame: frames.send(b"s", str(number).encode()))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        return
    yield


def captured(guest: Guest, args: list[str], **settings: Any) -> tuple[int, str, str]:
    """Runs a command; returns its exit status, output and errors."""
    out, err = bytearray(), bytearray()
    status = run(guest, args, out=out.extend, err=err.extend, **settings)
    return status, out.decode(errors="replace"), err.decode(errors="replace")


if __name__ == "__main__":
    sys.exit("run `python3 integration/guest`")
