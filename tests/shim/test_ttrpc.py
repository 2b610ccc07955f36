"""ttrpc: frames, the server on a real socket, errors in a frame or a call."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.shim.loop import Loop
from pyrunc.shim.messages import decode, encode
from pyrunc.shim.ttrpc import (
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    LARGEST,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    Call,
    Client,
    Frames,
    Server,
    frame,
)


class Peer:
    """A client that sends arbitrary frames."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.frames = Frames()
        self.got: list[Any] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, stream: int, method: str, payload: bytes = b"", flags: int = 0, **more: Any) -> None:
        values = {"service": "s", "method": method, "payload": payload, **more}
        self.send(frame(stream, 1, encode("Request", values), flags))

    def answer(self) -> tuple[int, int, Any]:
        """Returns (stream, status code, payload or message) of the next response."""
        while not self.got:
            data = self.socket.recv(1 << 16)
            assert data, "the connection ended"
            self.got += self.frames.feed(data)
        stream, kind, _, body = self.got.pop(0)
        assert kind == 2
        response = decode("Response", body)
        status = response.get("status", {})
        code = status.get("code", 0)
        return stream, code, status.get("message", "") if code else response.get("payload", b"")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    loop = Loop()
    held: list[Call] = []

    def dispatch(call: Call) -> None:
        if call.method == "echo":
            call.answer(call.payload)
        elif call.method == "hold":
            held.append(call)
        elif call.method == "release":
            for one in held:
                one.answer(one.payload)
            call.answer(b"")
        elif call.method == "big":
            call.answer(bytes(LARGEST))
        elif call.method == "stop":
            call.answer(b"")
            loop.stop()
        else:
            call.fail(UNIMPLEMENTED, "what?")

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    Server(loop, listener.detach(), dispatch)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield tmp_path / "s"
    Peer(tmp_path / "s").request(1, "stop")
    thread.join(10)
    assert not thread.is_alive()


def test_calls_are_answered_in_any_order(server: Path) -> None:
    peer = Peer(server)
    peer.request(1, "hold", b"first")
    peer.request(3, "echo", b"second")
    assert peer.answer() == (3, 0, b"second")
    peer.request(5, "release")
    assert {peer.answer(), peer.answer()} == {(1, 0, b"first"), (5, 0, b"")}


def test_frames_in_single_bytes(server: Path) -> None:
    peer = Peer(server)
    for byte in frame(1, 1, encode("Request", {"service": "s", "method": "echo", "payload": b"x"})):
        peer.send(bytes((byte,)))
    assert peer.answer() == (1, 0, b"x")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, 1, b"\xff\xff"), INVALID_ARGUMENT),
        (frame(2, 1, b""), INVALID_ARGUMENT),
        (frame(1, 9, b""), INVALID_ARGUMENT),
        (frame(1, 3, b"data of no stream"), INVALID_ARGUMENT),
        (frame(1, 1, bytes(LARGEST + 1)), RESOURCE_EXHAUSTED),
        (frame(1, 1, encode("Request", {"service": "s", "method": "echo"}), 2), UNIMPLEMENTED),
        (frame(1, 1, encode("Request", {"service": "s", "method": "nonesuch"})), UNIMPLEMENTED),
        (frame(1, 1, encode("Request", {"service": "s", "method": "big"})), RESOURCE_EXHAUSTED),
    ],
)
def test_what_is_wrong_is_answered_and_the_connection_goes_on(server: Path, data: bytes, code: int) -> None:
    peer = Peer(server)
    peer.send(data)
    assert peer.answer()[1] == code
    peer.request(7, "echo", b"still here")
    assert peer.answer() == (7, 0, b"still here")


def test_a_timeout_is_told_and_a_late_answer_is_not(server: Path) -> None:
    peer = Peer(server)
    peer.request(1, "hold", timeout_nano=10_000_000)
    assert peer.answer()[:2] == (1, DEADLINE_EXCEEDED)
    peer.request(3, "release")
    assert peer.answer() == (3, 0, b"")


def test_a_client_that_goes_takes_its_calls_with_it(server: Path) -> None:
    peer = Peer(server)
    peer.request(1, "hold")
    peer.request(3, "echo")
    peer.answer()
    peer.socket.close()
    other = Peer(server)
    other.request(1, "release")
    assert other.answer() == (1, 0, b"")


def test_many_calls_at_once_on_one_connection(server: Path) -> None:
    peer = Peer(server)
    for stream in range(1, 2001, 2):
        peer.request(stream, "echo", str(stream).encode())
    assert {peer.answer() for _ in range(1000)} == {(stream, 0, str(stream).encode()) for stream in range(1, 2001, 2)}


def test_a_client_of_our_own(server: Path) -> None:
    loop, told = Loop(), []
    client = Client(loop, str(server), lambda: told.append("lost"))

    def then(code: int, message: str) -> None:
        told.append((code, message))
        if len(told) == 2:
            client.close()
            loop.stop()

    client.call("s", "echo", b"", then)
    client.call("s", "nonesuch", b"", then)
    loop.run()
    assert told == [(0, ""), (UNIMPLEMENTED, "what?"), "lost"]


def test_no_server_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Client(Loop(), str(tmp_path / "none"), lambda: None)
