"""Copies data that a container cannot exchange directly: from a terminal, or from a pipe to a file."""

import errno
import posix
import select

from pyrunc import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.shim.loop import Loop

CHUNK = 1 << 16
LEVEL = select.EPOLLIN


class Relay:
    """Copies from ``source`` to ``sink`` until the source ends, then calls ``ended``. It owns both; they are
    non-blocking.

    While the sink takes no data, nothing is read, so the writer of the source is blocked as by any reader. If the sink
    fails (a full disk, a logger that has exited), that is logged once and later data is dropped. The container is
    neither ended nor blocked by it.
    """

    def __init__(self, loop: "Loop", source: int, sink: int, name: str, ended: "Callable[[], object]") -> None:
        self.loop = loop
        self.source = source
        self.sink = sink
        self.name = name
        self.ended = ended
        self.pending = b""
        loop.add(source, self._readable, LEVEL)

    @property
    def open(self) -> bool:
        """Whether it is still copying."""
        return self.source >= 0

    def close(self) -> None:
        """Ends it, even if there is more to read."""
        if self.source >= 0:
            self.loop.remove(self.source)
            posix.close(self.source)
            self.source = -1
            self._close_sink()
            self.ended()

    def _close_sink(self) -> None:
        if self.sink >= 0:
            self.loop.remove(self.sink)
            posix.close(self.sink)
            self.sink = -1

    def _readable(self, events: int) -> None:
        try:
            data = posix.read(self.source, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: no process has the terminal open any more
            data = b""
        if data:
            self._write(data)
        else:
            self.close()

    def _write(self, data: bytes) -> None:
        while data and self.sink >= 0:
            try:
                data = data[posix.write(self.sink, data) :]
            except BlockingIOError:
                self.pending = data
                # Removed, not only without events: epoll reports a hang-up even if no event is requested.
                self.loop.remove(self.source)
                self.loop.add(self.sink, self._writable, select.EPOLLOUT)
                return
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.EIO):
                    log.warning(f"shim: {self.name}: {posix.strerror(error.errno or 0).lower()}: output is lost")
                self._close_sink()

    def _writable(self, events: int) -> None:
        self.loop.remove(self.sink)
        data, self.pending = self.pending, b""
        self.loop.add(self.source, self._readable, LEVEL)
        self._write(data)
