"""Waiting for a process in the foreground that has a terminal, which is between it and ours; and that one's signals.

Neither side can stop the loop: nothing blocks, at most one read's bytes are on their way in each direction, and the end
of the process is seen whether or not anything is read or written.
"""

import _signal
import errno
import posix
import select

from pyrunc import log
from pyrunc.foreground.signals import signals
from pyrunc.foreground.streams import Copy, Master, Stream
from pyrunc.foreground.wait import forward, reap
from pyrunc.linux.wait_status import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.foreground.terminal import Foreground

LEFT = 1 << 17
"""Bytes that the kernel keeps of a terminal's output at most (64 KiB, drivers/tty/tty_buffer.c), and a read: what is
read after the end of the process, for others may go on to write."""
ENDING = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


def wait(pid: int, terminal: "Foreground") -> int:
    """Waits for our child ``pid``, and copies between both terminals. Returns its exit status (128+n)."""
    return watched(pid, lambda pidfd, signals_pipe: Loop(pid, pidfd, signals_pipe, terminal).run())


def watched(pid: int, loop: "Callable[[int, int], int]") -> int:
    """The exit status of what ``loop`` returns as a wait(2) status. It gets a pidfd of ``pid``, and a pipe that
    brings the number of every signal that comes to us."""
    pidfd = posix.pidfd_open(pid)
    reading, writing = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    # A handler that does nothing: Python's own C handler writes the number of every signal into the pipe.
    handlers = {number: _signal.signal(number, lambda *_: None) for number in signals()}
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, signals())
    try:
        return exit_status(loop(pidfd, reading))
    finally:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, signals())
        _signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            if handler is not None:  # else it is the launcher's, which is in C
                _signal.signal(number, handler)
        for descriptor in (pidfd, reading, writing):
            posix.close(descriptor)


class Loop:
    """poll(2) on both terminals, the process, and the pipe of signals."""

    def __init__(self, pid: int, pidfd: int, signals_pipe: int, terminal: "Foreground") -> None:
        self.pid, self.pidfd, self.signals_pipe, self.terminal = pid, pidfd, signals_pipe, terminal
        self.ours, self.master = (Stream(0, posix.O_RDONLY), Stream(1, posix.O_WRONLY)), Master(terminal.master)
        self.input = Copy(self.ours[0], self.master)
        self.output = Copy(self.master, self.ours[1])
        self.last = b"\n"  # of our input

    def run(self) -> int:
        """The process's wait(2) status, when all of its output is written, or its reader has gone."""
        try:
            while (status := reap(self.pid)) is None:
                self._step()
            self._rest()
            return status
        finally:
            for stream in self.ours:
                stream.close()

    def _step(self) -> None:
        """Waits until one event has come, and handles it."""
        events = self._poll({self.pidfd: select.POLLIN, self.signals_pipe: select.POLLIN, **self._interest()})
        # What comes with its end is for ourselves (_rest).
        if self.signals_pipe in events and self.pidfd not in events:
            for number in posix.read(self.signals_pipe, 512):
                if number == _signal.SIGWINCH:
                    self.terminal.resize()
                elif number != _signal.SIGCHLD:
                    forward(self.pidfd, number)
        if self.output.reads and self.master.polled in events:
            self.output.fill()
        if self.output.data:
            self._write_out()
        if self.input.reads and self.ours[0].polled in events:
            self._read_in()
        if self.input.data:
            self._write_in()

    def _interest(self) -> "dict[int, int]":
        """{descriptor: events}. Not a descriptor that nothing is to be done with: its end is told at every poll."""
        wanted: dict[int, int] = {}
        for polled, event, on in (
            (self.master.polled, select.POLLIN, self.output.reads),
            (self.master.polled, select.POLLOUT, bool(self.input.data)),
            (self.ours[1].polled, select.POLLOUT, bool(self.output.data)),
            (self.ours[0].polled, select.POLLIN, self.input.reads),
        ):
            if on:
                wanted[polled] = wanted.get(polled, 0) | event
        return wanted

    def _poll(self, wanted: "dict[int, int]") -> "dict[int, int]":
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        return dict(poll.poll())

    def _write_out(self) -> None:
        """To our own terminal. When it has gone, the container's has: it hangs up, as any terminal does."""
        try:
            self.output.drain()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO, errno.ECONNRESET):
                log.warning(f"standard output: {(error.strerror or '').lower()}")
            self.input.stop()
            self.terminal.hang_up()

    def _read_in(self) -> None:
        last = self.last
        try:
            self.input.fill()
        except OSError:  # our terminal has gone: its SIGHUP says the rest
            self.input.ended = True
            return
        if self.input.ended and not posix.isatty(0):
            # A terminal has no end of its own: what is piped ends as a user would end it (script(1) does so).
            self.input.data = self.terminal.end_of_file(last)
        self.last = self.input.data[-1:]

    def _write_in(self) -> None:
        try:
            self.input.drain()
        except OSError:
            pass  # no process has the terminal open any more

    def _rest(self) -> None:
        """What the process wrote before its end. A reader may be slow: only its going, or a signal to us, ends this."""
        self.input.stop()
        read = 0
        while True:
            # Since the reaping all that the process wrote is there to be read.
            if self.output.reads and read < LEFT:
                found = self.output.fill()
                read += found
                if not found:
                    self.output.ended = True
            if not self.output.data:
                return
            self._write_out()
            if self.output.data:
                events = self._poll({self.signals_pipe: select.POLLIN, self.ours[1].polled: select.POLLOUT})
                if self.signals_pipe in events and set(posix.read(self.signals_pipe, 512)) & set(ENDING):
                    return
