"""Connects the runtime's own terminal to the container's in the foreground."""

import posix
import sys
from _socket import AF_UNIX, SOCK_STREAM, socketpair

from pyrunc.launch.console import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Process


class Foreground:
    """The runtime's terminal and the container's: sets the size, and raw mode until ``end``."""

    def __init__(self) -> None:
        self.ours, self.theirs = socketpair(AF_UNIX, SOCK_STREAM)
        self.master = -1
        self.saved: Any = None

    @property
    def console(self) -> int:
        """The socket for CreateOptions.console."""
        return int(self.theirs.fileno())

    def begin(self) -> None:
        """After the launch: receives the master, sets the size, and puts the runtime's terminal into raw mode."""
        import termios

        self.theirs.close()
        self.master = receive(self.ours)
        self.ours.close()
        self.resize()
        if posix.isatty(0):
            self.saved = termios.tcgetattr(0)
            raw = termios.tcgetattr(0)
            _make_raw(raw)
            termios.tcsetattr(0, termios.TCSANOW, raw)

    def give_size(self, process: "Process") -> None:
        """Gives the container's terminal the size from the start, because the program may ask before the runtime has
        the master."""
        if posix.isatty(0):
            from pyrunc.spec.shape import build

            size = _size(0)
            rows, columns = (int.from_bytes(size[at : at + 2], sys.byteorder) for at in (0, 2))  # struct winsize
            if rows and columns:
                process.console_size = build("ConsoleSize", {"height": rows, "width": columns})

    def resize(self) -> None:
        """Sets the container's terminal to the size of the runtime's."""
        import fcntl
        import termios

        if self.master >= 0 and posix.isatty(0):
            try:
                fcntl.ioctl(self.master, termios.TIOCSWINSZ, _size(0))
            except OSError:
                pass  # one of the terminals has just been hung up

    def end_of_file(self, last: bytes) -> bytes:
        """Returns the characters that end the input of a program that reads lines. If ``last`` is not a newline, the
        first VEOF only ends the line (termios(3)). Returns b"" if the program reads raw bytes."""
        import termios

        try:
            attributes = termios.tcgetattr(self.master)
        except termios.error:
            return b""
        if not attributes[3] & termios.ICANON:
            return b""
        character = bytes(attributes[6][termios.VEOF])
        return character if last == b"\n" else character * 2

    def hang_up(self) -> None:
        """Closes the terminal's master: the session in the container gets SIGHUP (tty_ioctl(4))."""
        if self.master >= 0:
            posix.close(self.master)
            self.master = -1

    def end(self) -> None:
        """Restores the runtime's terminal. May be called if nothing was changed."""
        self.ours.close()
        self.theirs.close()
        self.hang_up()
        if self.saved is None:
            return
        import _signal
        import termios

        # If the runtime is now in the background, SIGTTOU would stop it.
        _signal.signal(_signal.SIGTTOU, _signal.SIG_IGN)
        try:
            termios.tcsetattr(0, termios.TCSANOW, self.saved)
        except termios.error:
            pass  # the terminal no longer exists
        self.saved = None


def _size(descriptor: int) -> bytes:
    import fcntl
    import termios

    return fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))


def _make_raw(attributes: "list[Any]") -> None:
    """cfmakeraw(3)."""
    import termios as t

    attributes[0] &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
    attributes[1] &= ~t.OPOST
    attributes[2] = attributes[2] & ~(t.CSIZE | t.PARENB) | t.CS8
    attributes[3] &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
    attributes[6][t.VMIN], attributes[6][t.VTIME] = 1, 0
