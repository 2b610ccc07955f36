"""Pipes between a foreground process and the runtime's standard streams, for streams that are sockets.

The kernel cannot open a socket by a path. If standard output is the journal's socket (a systemd service) or sshd's,
opening /dev/stdout in the container fails with ENXIO. runc always uses pipes. Here a process inherits a file, a pipe or
a terminal directly, and nothing is copied.
"""

import posix
import select

from pyrunc.foreground.streams import Copy, Master, Stream
from pyrunc.foreground.terminal_wait import ENDING, LEFT, watched
from pyrunc.foreground.wait import forward, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Pipes:
    """``sockets``: which of 0, 1 and 2 become pipes. ``stdio``: the process's standard descriptors, for a launch."""

    def __init__(self, sockets: "Sequence[int]") -> None:
        self.stdio = [0, 1, 2]
        self.theirs: list[int] = []
        self.ours: dict[Copy, int] = {}
        self.streams: list[Stream] = []
        outputs: dict[int, int] = {}  # {inode: the write end of the pipe}; both outputs are often the same socket
        for number in sockets:
            inode = posix.fstat(number).st_ino
            if number and inode in outputs:
                self.stdio[number] = outputs[inode]
                continue
            reading, writing = posix.pipe2(posix.O_CLOEXEC)
            theirs, ours = (writing, reading) if number else (reading, writing)
            stream = Stream(number, posix.O_WRONLY if number else posix.O_RDONLY)
            self.ours[Copy(Master(ours), stream) if number else Copy(stream, Master(ours))] = ours
            self.streams.append(stream)
            self.theirs.append(theirs)
            self.stdio[number] = theirs
            if number:
                outputs[inode] = theirs

    def begin(self) -> None:
        """Closes the process's ends after the launch, so that end of file can be seen."""
        while self.theirs:
            posix.close(self.theirs.pop())

    def wait(self, pid: int) -> int:
        """Waits for the child process ``pid`` and copies meanwhile. Returns its exit status (128+n)."""
        return watched(pid, lambda pidfd, signals: _run(pid, pidfd, signals, self))

    def hang_up(self, copy: Copy) -> None:
        """Closes a pipe after one side has closed it, so that the other side sees the end, too."""
        copy.stop()
        posix.close(self.ours.pop(copy))

    def end(self) -> None:
        """Closes every pipe. May be called if none was opened."""
        self.begin()
        for copy in list(self.ours):
            self.hang_up(copy)
        while self.streams:
            self.streams.pop().close()


def _run(pid: int, pidfd: int, signals: int, pipes: Pipes) -> int:
    while (status := reap(pid)) is None:
        events = _poll({pidfd: select.POLLIN, signals: select.POLLIN, **_interest(pipes)})
        if signals in events and pidfd not in events:
            for number in _signals(signals):
                forward(pidfd, number)
        for copy in list(pipes.ours):
            _copy(pipes, copy, events)
    _rest(signals, pipes)
    return status


def _interest(pipes: Pipes) -> "dict[int, int]":
    reads = {copy.source.polled: select.POLLIN for copy in pipes.ours if copy.reads}
    return {**reads, **{copy.sink.polled: select.POLLOUT for copy in pipes.ours if copy.data}}


def _poll(wanted: "dict[int, int]") -> "dict[int, int]":
    poll = select.poll()
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    return dict(poll.poll())


def _signals(descriptor: int) -> "Iterator[int]":
    from _signal import SIGCHLD, SIGWINCH

    return (number for number in posix.read(descriptor, 512) if number not in (SIGCHLD, SIGWINCH))


def _copy(pipes: Pipes, copy: Copy, events: "dict[int, int]") -> None:
    """Copies what can be copied without waiting. If the reader or the writer is gone, closes the pipe."""
    try:
        if copy.reads and copy.source.polled in events:
            copy.fill()
        if copy.data:
            copy.drain()
    except OSError:
        copy.stop()
    if copy.ended and not copy.data:
        pipes.hang_up(copy)


def _rest(signals: int, pipes: Pipes) -> None:
    """Copies what the process wrote before its end; other processes may go on writing. A slow reader is waited for
    until it closes its end or the runtime gets a signal."""
    for copy in list(pipes.ours):
        if isinstance(copy.sink, Master):
            pipes.hang_up(copy)
    left = dict.fromkeys(pipes.ours, LEFT)
    while True:
        for copy in list(pipes.ours):
            while copy.reads and left[copy] > 0 and (got := copy.fill()):
                left[copy] -= got
        waiting = [copy for copy in pipes.ours if copy.data]
        if not waiting:
            return
        events = _poll({signals: select.POLLIN, **{copy.sink.polled: select.POLLOUT for copy in waiting}})
        if signals in events and any(number in ENDING for number in _signals(signals)):
            return
        for copy in waiting:
            _copy(pipes, copy, events)
