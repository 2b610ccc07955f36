"""Reading and writing that never blocks, of descriptors that are ours and others' together.

O_NONBLOCK belongs to the open file, which our caller's shell and its other programs share: it is not set there. A pipe
or a terminal is opened once more, a socket takes MSG_DONTWAIT, a file never waits for anybody.
"""

import posix
from _socket import MSG_DONTWAIT, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIZE = 65536
"""Bytes that are read at once, and that are at most on their way in one direction."""
AT_ONCE = 4096
"""PIPE_BUF: what a pipe takes without waiting when poll(2) says that it takes anything (pipe(7))."""
KIND, FIFO, CHARACTER, SOCKET = 0o170000, 0o010000, 0o020000, 0o140000
PTMX = 5 << 8 | 2
"""/dev/ptmx, where each open makes another terminal."""


class Stream:
    """``descriptor``, for one direction (posix.O_RDONLY or O_WRONLY); ``polled``: what poll(2) is to look at."""

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
                # Another user's terminal (su): as much at once as it says to take.
                self.at_once = AT_ONCE

    def read(self) -> bytes:
        """What is there, b"" at the end; BlockingIOError when nothing is."""
        data: bytes = self.socket.recv(SIZE, MSG_DONTWAIT) if self.socket is not None else posix.read(self.polled, SIZE)
        return data

    def write(self, data: bytes) -> int:
        """How much of ``data`` was taken; BlockingIOError when nothing can be."""
        if self.socket is not None:
            return int(self.socket.send(data, MSG_DONTWAIT))
        return posix.write(self.polled, data[: self.at_once])

    def close(self) -> None:
        """Closes what was opened here; the caller's descriptor stays open."""
        if self.socket is not None:
            self.socket.close()
        if self.opened >= 0:
            posix.close(self.opened)


class Master:
    """The terminal's master, which is ours alone: O_NONBLOCK on it affects no other process."""

    def __init__(self, descriptor: int) -> None:
        self.polled = descriptor
        posix.set_blocking(descriptor, False)

    def read(self) -> bytes:
        """As Stream.read; b"" also when no process has the terminal open any more (EIO)."""
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
    """One direction, with a buffer of one read: what the reader does not take is not read either."""

    def __init__(self, source: "Stream | Master", sink: "Stream | Master") -> None:
        self.source = source
        self.sink = sink
        self.data = b""
        self.ended = False  # the source has no more, or there is no reader

    @property
    def reads(self) -> bool:
        """Whether the source is to be polled."""
        return not self.ended and not self.data

    def fill(self) -> int:
        """Reads once; returns the number of bytes. OSError is the source's."""
        try:
            self.data = self.source.read()
        except BlockingIOError:
            return 0
        self.ended = not self.data
        return len(self.data)

    def drain(self) -> None:
        """One write. OSError is the sink's, and then nothing more goes there."""
        try:
            self.data = self.data[self.sink.write(self.data) :]
        except BlockingIOError:
            pass
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Called when the sink has gone: what is read from now on is dropped."""
        self.data, self.ended = b"", True
