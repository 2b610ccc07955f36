"""ttrpc, containerd's RPC over a UNIX socket: frames, a server of unary calls, a client (ttrpc's PROTOCOL.md).

This module does not know about containers. A frame is a header of ten bytes, and up to 4 MB of data:

    length u32 | stream u32 | type u8 (1 request, 2 response, 3 data) | flags u8     all big endian

A client's streams have odd numbers, one for each call. Calls are answered in any order. There is no cancellation: a
client that gives up ignores a later answer on the stream.
"""

import errno
import posix
import select
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socket

from pyrunc import log
from pyrunc.shim.messages import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyrunc.shim.loop import Loop, Timer

HEADER = 10
LARGEST = 4 << 20
REQUEST, RESPONSE, DATA = 1, 2, 3
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4
"""Flags. A request with REMOTE_OPEN asks for a stream."""
UNSENT = 16 << 20
"""The largest amount of unread answers for a client, in bytes."""

UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS = 2, 3, 4, 5, 6
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 9, 12, 13, 14
"""Status codes (gRPC's), which containerd maps to its errors."""
ENDS = {
    NOT_FOUND: ": not found",
    ALREADY_EXISTS: ": already exists",
    FAILED_PRECONDITION: ": failed precondition",
}
"""{status code: the end of its messages} (containerd's package errdefs)."""


class Failure(Exception):
    """A failed call: the status ``code`` and a one-line message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(stream: int, kind: int, data: bytes, flags: int = 0) -> bytes:
    """Returns one frame."""
    return len(data).to_bytes(4, "big") + stream.to_bytes(4, "big") + bytes((kind, flags)) + data


class Frames:
    """Splits received data into frames. An oversized frame is skipped, and reported with None instead of its data."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.skipping = 0

    def feed(self, data: bytes) -> "Iterator[tuple[int, int, int, bytes | None]]":
        """Yields (stream, type, flags, data) of each complete frame."""
        self.buffer += data
        while True:
            if self.skipping:
                gone = min(self.skipping, len(self.buffer))
                del self.buffer[:gone]
                self.skipping -= gone
            if self.skipping or len(self.buffer) < HEADER:
                return
            length, stream = (int.from_bytes(self.buffer[at : at + 4], "big") for at in (0, 4))
            kind, flags = self.buffer[8], self.buffer[9]
            if length > LARGEST:
                del self.buffer[:HEADER]
                self.skipping = length
                yield stream, kind, flags, None
                continue
            if len(self.buffer) < HEADER + length:
                return
            body = bytes(self.buffer[HEADER : HEADER + length])
            del self.buffer[: HEADER + length]
            yield stream, kind, flags, body


class Connection:
    """A connected socket on the loop that sends and receives whole frames. ``closed`` is called once, for any end."""

    def __init__(self, loop: "Loop", sock: "Any") -> None:
        self.loop = loop
        self.sock = sock
        self.frames = Frames()
        self.unsent = bytearray()
        self.open = True
        self.descriptor = int(sock.fileno())
        loop.add(self.descriptor, self._ready)

    def received(self, stream: int, kind: int, flags: int, data: "bytes | None") -> None:
        """Called with each frame; for subclasses."""

    def closed(self) -> None:
        """Called when the connection has ended; for subclasses."""

    def close(self) -> None:
        """Ends the connection."""
        if self.open:
            self.open = False
            self.loop.remove(self.descriptor)
            self.sock.close()
            self.unsent.clear()
            self.closed()

    def send(self, data: bytes) -> None:
        """Sends all of ``data``, now or when the other side reads."""
        if not self.open:
            return
        waited = bool(self.unsent)
        self.unsent += data
        if not waited:
            self._flush()
        if len(self.unsent) > UNSENT:
            log.warning("shim: a client that does not read its answers is disconnected")
            self.close()

    def _flush(self) -> None:
        while self.unsent:
            try:
                sent = self.sock.send(self.unsent)
            except BlockingIOError:
                self.loop.change(self.descriptor, select.EPOLLIN | select.EPOLLOUT)
                return
            except OSError:
                self.close()
                return
            del self.unsent[:sent]

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
            if self.open and not self.unsent:
                self.loop.change(self.descriptor, select.EPOLLIN)
        if not self.open or not events & ~select.EPOLLOUT:
            return
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        for stream, kind, flags, body in self.frames.feed(data):
            if self.open:
                self.received(stream, kind, flags, body)


class Call:
    """A request that is answered once. Later answers, and those to a client that has disconnected, are dropped."""

    def __init__(self, peer: "Peer", stream: int, request: "dict[str, Any]") -> None:
        self.peer = peer
        self.stream = stream
        self.service = str(request.get("service", ""))
        self.method = str(request.get("method", ""))
        self.payload: bytes = request.get("payload", b"")
        self.timer: Timer | None = None
        timeout = int(request.get("timeout_nano", 0))
        if timeout > 0:
            self.timer = peer.loop.later(
                timeout / 1e9, lambda: self.fail(DEADLINE_EXCEEDED, "context deadline exceeded")
            )

    @property
    def pending(self) -> bool:
        """Whether the caller waits for the answer."""
        return self.peer.calls.get(self.stream) is self

    def answer(self, payload: bytes) -> None:
        """Answers that the call succeeded."""
        self._answer({"status": {}, "payload": payload})

    def fail(self, code: int, message: str) -> None:
        """Answers that the call failed. The message ends like those of the Go shim: containerd 2 shows it unchanged,
        1.6 appends this end unless it is there."""
        end = ENDS.get(code, "")
        self._answer({"status": {"code": code, "message": message if message.endswith(end) else message + end}})

    def _answer(self, response: "dict[str, Any]") -> None:
        if self.pending:
            del self.peer.calls[self.stream]
            if self.timer is not None:
                self.timer.cancel()
            self.peer.respond(self.stream, response)


class Peer(Connection):
    """A client of the server."""

    def __init__(self, loop: "Loop", sock: "Any", server: "Server") -> None:
        self.server = server
        self.calls: dict[int, Call] = {}
        super().__init__(loop, sock)

    def respond(self, stream: int, response: "dict[str, Any]") -> None:
        """Sends one response."""
        data = encode("Response", response)
        if len(data) > LARGEST:
            too_long = {"code": RESOURCE_EXHAUSTED, "message": f"answer of {len(data)} bytes is too long"}
            data = encode("Response", {"status": too_long})
        self.send(frame(stream, RESPONSE, data))

    def refuse(self, stream: int, code: int, message: str) -> None:
        """Answers a frame that is not a valid call."""
        self.respond(stream, {"status": {"code": code, "message": message}})

    def received(self, stream: int, kind: int, flags: int, data: "bytes | None") -> None:
        """As Connection."""
        if data is None:
            self.refuse(stream, RESOURCE_EXHAUSTED, f"message exceeds the maximum of {LARGEST} bytes")
        elif stream % 2 == 0:
            self.refuse(stream, INVALID_ARGUMENT, "StreamID must be odd for client initiated streams")
        elif kind == DATA:
            # For a stream that was refused. The end of a stream needs no answer.
            if not flags & REMOTE_CLOSED:
                self.refuse(stream, INVALID_ARGUMENT, "StreamID is no longer active")
        elif kind != REQUEST:
            self.refuse(stream, INVALID_ARGUMENT, f"unknown message type {kind}")
        elif stream in self.calls:
            self.refuse(stream, INVALID_ARGUMENT, "StreamID is in use")
        else:
            self._request(stream, flags, data)

    def _request(self, stream: int, flags: int, data: bytes) -> None:
        try:
            request = decode("Request", data)
        except ValueError as error:
            self.refuse(stream, INVALID_ARGUMENT, f"request can't be read: {error}")
            return
        if flags & REMOTE_OPEN:
            name = f"/{request.get('service', '')}/{request.get('method', '')}"
            self.refuse(stream, UNIMPLEMENTED, f"{name}: streams are not implemented")
            return
        call = self.calls[stream] = Call(self, stream, request)
        self.server.dispatch(call)

    def closed(self) -> None:
        """As Connection."""
        for call in self.calls.values():
            if call.timer is not None:
                call.timer.cancel()
        self.calls.clear()
        self.server.peers.discard(self)


class Server:
    """Accepts connections on the descriptor ``listener``, and passes every call to ``dispatch``, which must not
    raise."""

    def __init__(self, loop: "Loop", listener: int, dispatch: "Callable[[Call], object]") -> None:
        self.loop = loop
        self.dispatch = dispatch
        self.peers: set[Peer] = set()
        self.listener = socket(fileno=listener)
        self.listener.setblocking(False)
        loop.add(listener, self._connected)

    def _connected(self, events: int) -> None:
        try:
            descriptor, _ = self.listener._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                # The connection stays in the queue. Try again later, instead of in a busy loop.
                log.warning(f"shim: accept: {posix.strerror(error.errno).lower()}")
                self.loop.change(self.listener.fileno(), 0)
                self.loop.later(0.1, lambda: self.loop.change(self.listener.fileno(), select.EPOLLIN))
            return
        sock = socket(fileno=descriptor)
        sock.setblocking(False)
        self.peers.add(Peer(self.loop, sock, self))

    def close(self) -> None:
        """Stops accepting connections. Existing ones stay."""
        if self.listener.fileno() >= 0:
            self.loop.remove(self.listener.fileno())
            self.listener.close()

    def flushed(self) -> bool:
        """Whether all answers have been written to the sockets."""
        return not any(peer.unsent for peer in self.peers)


class Client(Connection):
    """A connection to another server. Raises OSError if there is none. ``lost`` is called when the connection ends."""

    def __init__(self, loop: "Loop", path: str, lost: "Callable[[], object]") -> None:
        self.lost = lost
        self.stream = -1
        self.waiting: dict[int, Callable[[int, str], object]] = {}
        sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            raise
        super().__init__(loop, sock)

    def call(self, service: str, method: str, payload: bytes, then: "Callable[[int, str], object]") -> None:
        """Calls a method. ``then`` gets the status code (0: success) and its message, unless the connection ends
        before."""
        self.stream += 2
        self.waiting[self.stream] = then
        request = {"service": service, "method": method, "payload": payload}
        self.send(frame(self.stream, REQUEST, encode("Request", request)))

    def received(self, stream: int, kind: int, flags: int, data: "bytes | None") -> None:
        """As Connection."""
        then = self.waiting.pop(stream, None)
        if kind != RESPONSE or then is None:
            return
        try:
            status = decode("Response", data or b"").get("status") or {}
        except ValueError:
            status = {"code": INTERNAL, "message": "response can't be read"}
        then(int(status.get("code", 0)), str(status.get("message", "")))

    def closed(self) -> None:
        """As Connection."""
        self.lost()
