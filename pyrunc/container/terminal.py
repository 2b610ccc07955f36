"""Terminals: the engine's console socket, or our own terminal in the foreground."""

import posix
import sys
from _socket import AF_UNIX, CMSG_LEN, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket, socketpair

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Process


def connect(path: str) -> int:
    """A descriptor connected to the socket at ``path`` that waits for the terminal's master."""
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise PyruncError(f"console socket {path}: {(error.strerror or str(error)).lower()}") from None
    return int(connection.detach())


def send_pidfd(path: str, pid: int) -> None:
    """Sends a pidfd of ``pid`` to the socket at ``path`` (--pidfd-socket)."""
    connection = socket(fileno=connect(path))
    descriptor = posix.pidfd_open(pid)
    try:
        connection.sendmsg([b"pidfd"], [(SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))])
    finally:
        posix.close(descriptor)
        connection.close()


def receive(connection: "Any") -> int:
    """The master that the helper sent."""
    _, ancillary, _, _ = connection.recvmsg(4096, CMSG_LEN(4))
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            return int.from_bytes(data[:4], sys.byteorder)
    raise PyruncError("the terminal's master did not arrive")


class Foreground:
    """Our terminal and the container's: bytes both ways, the size, raw mode that always ends."""

    def __init__(self) -> None:
        self.ours, self.theirs = socketpair(AF_UNIX, SOCK_STREAM)
        self.master = -1
        self.saved: Any = None
        self.pending = b""

    @property
    def console(self) -> int:
        """For CreateOptions.console."""
        return int(self.theirs.fileno())

    def begin(self) -> None:
        """After the launch: takes the master, sets the size, puts our terminal into raw mode."""
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
        """Our size is the terminal's from the start: its program may ask for it before we have the master."""
        if posix.isatty(0):
            from pyrunc.spec.shape import build

            size = _size(0)
            rows, columns = (int.from_bytes(size[at : at + 2], sys.byteorder) for at in (0, 2))  # struct winsize
            if rows and columns:
                process.console_size = build("ConsoleSize", {"height": rows, "width": columns})

    def resize(self) -> None:
        """The container's terminal gets our size."""
        import fcntl
        import termios

        if self.master >= 0 and posix.isatty(0):
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, _size(0))

    def end(self) -> None:
        """Puts everything back, also when nothing began."""
        self.ours.close()
        self.theirs.close()
        if self.saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSANOW, self.saved)
            self.saved = None
        if self.master >= 0:
            posix.close(self.master)
            self.master = -1

    def copy_out(self) -> bool:
        """One read of the container's output to ours; False at its end (EIO: the last slave is closed)."""
        try:
            data = posix.read(self.master, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        while data:
            data = data[posix.write(1, data) :]
        return True

    def copy_in(self) -> bool:
        """One read of our input to the container; False when ours has ended."""
        data = posix.read(0, 4096)
        if not data:
            return False
        while data:
            data = data[posix.write(self.master, data) :]
        return True


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
