"""Waits for a foreground process with a terminal, copies between its terminal and the runtime's, and forwards signals.

Neither side can stop the loop: nothing blocks, and each direction buffers at most one read. The end of the process is
seen whether or not data is read or written.
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
"""How many bytes are read after the end of the process, because other processes may go on writing: what the kernel
buffers of a terminal's output at most (64 KiB, drivers/tty/tty_buffer.c), and one read."""
ENDING = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


def wait(pid: int, terminal: "Foreground") -> int:
    """Waits for the child process ``pid``, and copies between both terminals. Returns its exit status (128+n)."""
    return watched(pid, lambda pidfd, signals_pipe: Loop(pid, pidfd, signals_pipe, terminal).run())


def watched(pid: int, loop: "Callable[[int, int], int]") -> int:
    """Calls ``loop``, which returns a wait(2) status, and returns the exit status. ``loop`` gets a pidfd of ``pid``,
    and a pipe to which the number of every signal to this process is written."""
    pidfd = posix.pidfd_open(pid)
    reading, writing = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    # The handlers do nothing: Python's own C handler writes the number of every signal into the pipe.
    handlers = {number: _signal.signal(number, lambda *_: None) for number in signals()}
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, signals())
    try:
        return exit_status(loop(pidfd, reading))
    finally:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, signals())
        _signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            if handler is not None:  # None: it is the launcher's, which is in C
                _signal.signal(number, handler)
        for descriptor in (pidfd, reading, writing):
            posix.close(descriptor)


class Loop:
    """Polls both terminals, the process, and the pipe of signals."""

    def __init__(self, pid: int, pidfd: int, signals_pipe: int, terminal: "Foreground") -> None:
        self.pid, self.pidfd, self.signals_pipe, self.terminal = pid, pidfd, signals_pipe, terminal
        self.ours, self.master = (Stream(0, posix.O_RDONLY), Stream(1, posix.O_WRONLY)), Master(terminal.master)
        self.input = Copy(self.ours[0], self.master)
        self.output = Copy(self.master, self.ours[1])
        self.last = b"\n"  # the last byte of the runtime's input

    def run(self) -> int:
        """Returns the process's wait(2) status, after all of its output was written or the reader is gone."""
        try:
            while (status := reap(self.pid)) is None:
                self._step()
            self._rest()
            return status
        finally:
            for stream in self.ours:
                stream.close()

    def _step(self) -> None:
        """Waits for events and handles them."""
        events = self._poll({self.pidfd: select.POLLIN, self.signals_pipe: select.POLLIN, **self._interest()})
        # Signals that arrive with the end of the process are for the runtime itself (_rest).
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
        """Returns {descriptor: events}. Leaves out a descriptor with nothing to do, because poll reports its hang-up
        every time."""
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
        """Writes to the runtime's terminal. If that is gone, hangs up the container's, as any terminal does."""
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
        except OSError:  # the runtime's terminal is gone: its SIGHUP ends the process
            self.input.ended = True
            return
        if self.input.ended and not posix.isatty(0):
            # A terminal has no end of file: a piped input ends with the character that a user would type (as script(1)
            # does).
            self.input.data = self.terminal.end_of_file(last)
        self.last = self.input.data[-1:]

    def _write_in(self) -> None:
        try:
            self.input.drain()
        except OSError:
            pass  # no process has the terminal open any more

    def _rest(self) -> None:
        """Writes what the process wrote before its end. A slow reader is waited for until it is gone or the runtime
        gets a signal."""
        self.input.stop()
        read = 0
        while True:
            # After the process was reaped, everything that it wrote can be read.
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
