"""Copying what can't be handed to a container itself: from a terminal, or from a pipe to a file."""

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
    """From ``source`` to ``sink``, both its own and not blocking, until the source ends; then ``ended`` is called.

    While the sink takes nothing, nothing is read: who writes into the source waits, as for a reader of their own. A
    sink that fails (a full disk, a logger that has gone) is told once in the log, and what comes later is dropped: a
    container is neither ended nor held up by it.
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
        """Whether it is still at work."""
        return self.source >= 0

    def close(self) -> None:
        """Ends it, also when there is more to be read."""
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
        except OSError:  # EIO: the last process with the terminal open has gone
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
                # Not only its events are left out: a hang-up is told whether it is asked for or not.
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
