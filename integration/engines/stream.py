"""A client of a CRI streaming URL (exec, attach), run inside the ground's network namespace.

    python stream.py URL [--resize ROWSxCOLUMNS] [--until TEXT] <stdin >stdout

It speaks the WebSocket protocol `v4.channel.k8s.io`: the first byte of a message is the channel, 0 standard input,
1 output, 2 error, 3 the status as JSON (last), 4 the terminal's size. The status is written to standard error.
"""

import base64
import json
import os
import socket
import struct
import sys
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    """Opens the stream. The server answers 101 or refuses."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    lines = [
        f"GET {parts.path}?{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: v4.channel.k8s.io",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            sys.exit(f"refused: {head.decode(errors='replace')}")
        head += byte
    if b" 101 " not in head.splitlines()[0]:
        sys.exit(f"refused: {head.decode(errors='replace')}")
    return connection


def send(connection: socket.socket, channel: int, data: bytes) -> None:
    """One binary message, masked as a client's must be (with a mask of zeros)."""
    payload = bytes([channel]) + data
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    connection.sendall(b"\x82" + size + bytes(4) + payload)


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive(connection: socket.socket) -> tuple[int, bytes]:
    """The next message: its opcode and payload."""
    first, size = exactly(connection, 2)
    if size == 126:
        size = struct.unpack(">H", exactly(connection, 2))[0]
    elif size == 127:
        size = struct.unpack(">Q", exactly(connection, 8))[0]
    return first & 15, exactly(connection, size)


def main() -> None:
    url, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    connection = connect(url)
    if "--resize" in options:
        rows, columns = options["--resize"].split("x")
        send(connection, 4, json.dumps({"Width": int(columns), "Height": int(rows)}).encode())
    data = sys.stdin.buffer.read()
    for start in range(0, len(data), 8192):
        send(connection, 0, data[start : start + 8192])
    shown = b""
    while True:
        try:
            opcode, payload = receive(connection)
        except EOFError:
            break
        if opcode == 8:
            break
        if payload and payload[0] == 3:
            sys.stderr.write(payload[1:].decode())
        elif payload:
            shown += payload[1:]
            os.write(1, payload[1:])
        if "--until" in options and options["--until"].encode() in shown:
            break


if __name__ == "__main__":
    main()
