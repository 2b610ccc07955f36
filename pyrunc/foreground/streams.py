"""Reads and writes without blocking, also on descriptors that the runtime shares with other processes.

O_NONBLOCK belongs to the open file description, which the caller's shell and other programs share, so it is not set
there. A pipe or a terminal is opened again, a socket is used with MSG_DONTWAIT, and a regular file never blocks.
"""

import posix
from _socket import MSG_DONTWAIT, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIZE = 65536
"""The size of one read, and of the buffer for each direction, in bytes."""
AT_ONCE = 4096
"""PIPE_BUF: how much can be written to a pipe without blocking if poll(2) reports it as writable (pipe(7))."""
KIND, FIFO, CHARACTER, SOCKET = 0o170000, 0o010000, 0o020000, 0o140000
PTMX = 5 << 8 | 2
"""/dev/ptmx, where each open creates a new terminal."""


class Stream:
    """``descriptor`` for one direction (posix.O_RDONLY or O_WRONLY). ``polled``: the descriptor to pass to poll(2)."""

    def __init__(self, descriptor: int, direction: int) -> None:
        self.polled = descriptor
        self.opened = -1
        self.socket: Any = None
        self.at_once = SIZE
        status = posix.fstat(descriptor)
        kind = status.st_mode & KIND
        if kind == SOCKET:
            self.socket = socket(fileno=posix.dup(descriptor))
        elif kind == FIFO or (kind == CHARACTER and posix.isatty(descriptor) and status.st_rdev != PTMX):
            flags = direction | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            try:
                self.opened = self.polled = posix.open(f"/proc/self/fd/{descriptor}", flags)
            except OSError:
                # Another user's terminal (su) cannot be opened again: write only as much as poll(2) guarantees.
                self.at_once = AT_ONCE

    def read(self) -> bytes:
        """Returns available data, b"" at end of file. Raises BlockingIOError if there is none."""
        data: bytes = self.socket.recv(SIZE, MSG_DONTWAIT) if self.socket is not None else posix.read(self.polled, SIZE)
        return data

    def write(self, data: bytes) -> int:
        """Returns how many bytes of ``data`` were written. Raises BlockingIOError if none can be written."""
        if self.socket is not None:
            return int(self.socket.send(data, MSG_DONTWAIT))
        return posix.write(self.polled, data[: self.at_once])

    def close(self) -> None:
        """Closes the descriptors opened here. The caller's descriptor stays open."""
        if self.socket is not None:
            self.socket.close()
        if self.opened >= 0:
            posix.close(self.opened)


class Master:
    """The terminal's master. Only the runtime has it, so O_NONBLOCK on it affects no other process."""

    def __init__(self, descriptor: int) -> None:
        self.polled = descriptor
        posix.set_blocking(descriptor, False)

    def read(self) -> bytes:
        """As Stream.read. Also returns b"" if no process has the terminal open any more (EIO)."""
        try:
            return posix.read(self.polled, SIZE)
        except BlockingIOError:
            raise
        except OSError:
            return b""

    def write(self, data: bytes) -> int:
        """As Stream.write."""
        return posix.write(self.polled, data)


class Copy:
    """One direction, with a buffer of one read. Nothing is read while the reader does not take the data."""

    def __init__(self, source: "Stream | Master", sink: "Stream | Master") -> None:
        self.source = source
        self.sink = sink
        self.data = b""
        self.ended = False  # whether the source is at end of file, or the reader is gone

    @property
    def reads(self) -> bool:
        """Whether to poll the source."""
        return not self.ended and not self.data

    def fill(self) -> int:
        """Reads once; returns the number of bytes. Raises the source's OSError."""
        try:
            self.data = self.source.read()
        except BlockingIOError:
            return 0
        self.ended = not self.data
        return len(self.data)

    def drain(self) -> None:
        """Writes once. Raises the sink's OSError; nothing more is written to that sink."""
        try:
            self.data = self.data[self.sink.write(self.data) :]
        except BlockingIOError:
            pass
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Called when the sink is gone: further data is dropped."""
        self.data, self.ended = b"", True
