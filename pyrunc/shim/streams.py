"""The standard streams of a process: containerd's FIFOs, a logger's pipes, files, a terminal, or /dev/null.

A process without a terminal inherits the FIFO itself, so no data passes through the shim. The shim only holds the other
end open: if a reader goes away (containerd restarts), the writer does not fail, and the reverse.
"""

import errno
import fcntl
import posix
from time import monotonic, sleep

from pyrunc.errors import PyruncError
from pyrunc.linux.files import make_directories
from pyrunc.shim.relay import Relay
from pyrunc.shim.ttrpc import DEADLINE_EXCEEDED, INVALID_ARGUMENT, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.shim.loop import Loop

OPENING = 10.0
"""Seconds to wait for a FIFO's reader or for a logger."""
DRAINING = 2.0
"""Seconds to wait until a process's output is copied after its end (as in the Go shim)."""
TIOCSWINSZ = 0x5414
FIFO, CHARACTER = 0o010000, 0o020000


class Streams:
    """The streams of one process. ``open`` may block and is for a worker; everything else is for the loop's thread.

    ``given``: the future descriptors 0, 1 and 2 of the process. ``console``: the socket for a terminal's master.
    """

    def __init__(self, stdin: str, stdout: str, stderr: str, terminal: bool) -> None:
        self.stdin, self.stdout, self.stderr, self.terminal = stdin, stdout, stderr, terminal
        self.given: list[int] = []
        self.console = -1
        self.master = -1
        self.logger = 0
        self._channel: Any = None
        self._held: list[int] = []
        self._stdin_writer = -1
        self._relays: list[Relay] = []
        self._copies: list[tuple[int, int, str]] = []  # (source, sink, name) of relays that ``begin`` starts
        self._drained: list[Callable[[], object]] = []

    # -- in a worker -------------------------------------------------------------------------------------------

    def open(self, owner: "tuple[int, int] | None", names: "dict[str, str]") -> None:
        """Opens all streams. ``owner``: (uid, gid) of the streams; ``names``: the environment of a logger.

        Raises Failure or PyruncError after closing everything.
        """
        try:
            if self.terminal:
                self._open_terminal(names)
            else:
                self._open_plain(names)
            for descriptor in self.given:
                if owner is not None and posix.fstat(descriptor).st_mode & CHARACTER == 0:
                    posix.fchown(descriptor, owner[0], owner[1])
        except OSError as error:
            self.abandon()
            path = f"{error.filename}: " if error.filename else ""
            raise PyruncError(f"standard streams: {path}{(error.strerror or str(error)).lower()}") from None
        except BaseException:
            self.abandon()
            raise

    def _open_plain(self, names: "dict[str, str]") -> None:
        self.given.append(self._reader(self.stdin) if self.stdin else _null())
        scheme, path = _split(self.stdout)
        if scheme == "binary":
            self.given += self._start_logger(self.stdout, names, 2)
            return
        for stream, uri in (("stdout", self.stdout), ("stderr", self.stderr)):
            scheme, path = _split(uri)
            if not uri:
                self.given.append(_null())
            elif scheme == "fifo" and _is_fifo(path):
                self.given.append(self._writer(path))
            else:
                reading, writing = posix.pipe2(posix.O_CLOEXEC)
                self.given.append(writing)
                posix.set_blocking(reading, False)
                self._copies.append((reading, -1, stream))
                self._copies[-1] = (reading, _file(scheme, path, stream), stream)

    def _open_terminal(self, names: "dict[str, str]") -> None:
        from _socket import AF_UNIX, SOCK_STREAM, socketpair

        self._channel, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        self.console = theirs.detach()
        scheme, path = _split(self.stdout)
        sink = -1
        if scheme == "binary":
            (sink,) = self._start_logger(self.stdout, names, 1)
        elif self.stdout:
            sink = self._writer(path) if scheme == "fifo" and _is_fifo(path) else _file(scheme, path, "stdout")
        if sink >= 0:
            posix.set_blocking(sink, False)
        self._copies.append((-1, sink, "stdout"))
        if self.stdin:
            source = self._reader(self.stdin)
            posix.set_blocking(source, False)
            self._copies.append((source, -1, "stdin"))

    def take_master(self) -> None:
        """After the launch: receives the terminal's master from the helper. Raises PyruncError if it was not sent."""
        if self.terminal:
            from pyrunc.launch.console import receive

            posix.close(self.console)
            self.console = -1
            self.master = receive(self._channel)
            posix.set_blocking(self.master, False)
            self._channel.close()
            self._channel = None

    def _reader(self, path: str) -> int:
        """Opens standard input. It reaches end of file after the shim has closed its own writer (CloseIO) and every
        other writer has, too."""
        scheme, path = _split(path)
        if scheme != "fifo":
            raise Failure(INVALID_ARGUMENT, f"stdin: {scheme}:// can't be read from")
        descriptor: int = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        if _is_fifo(path):
            self._stdin_writer = posix.open(path, posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        posix.set_blocking(descriptor, True)
        return descriptor

    def _writer(self, path: str) -> int:
        """Opens an output after waiting for a reader. Keeps it open if that reader goes away."""
        end, pause = monotonic() + OPENING, 0.001
        while True:
            try:
                descriptor: int = posix.open(path, posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
                break
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            # No event reports that a FIFO has a reader. Usually it has one already.
            if monotonic() > end:
                raise Failure(DEADLINE_EXCEEDED, f"{path}: nobody opened it for reading within {OPENING:.0f} s")
            sleep(pause)
            pause = min(pause * 2, 0.02)
        self._held.append(posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC))
        posix.set_blocking(descriptor, True)
        return descriptor

    def _start_logger(self, uri: str, names: "dict[str, str]", count: int) -> "list[int]":
        """Starts a logger (``binary://``). It reads descriptors 3 and 4, and closes 5 when it is ready."""
        from pyrunc.linux.pidfd import ready

        path, arguments = _command(uri)
        pipes = [posix.pipe2(posix.O_CLOEXEC) for _ in range(3)]
        moved = [_high(pipes[0][0]), _high(pipes[1][0]), _high(pipes[2][1])]
        actions: list[Any] = [(posix.POSIX_SPAWN_OPEN, number, "/dev/null", posix.O_RDWR, 0) for number in range(3)]
        actions += [(posix.POSIX_SPAWN_DUP2, source, 3 + place) for place, source in enumerate(moved)]
        writers = [pipes[0][1], pipes[1][1]]
        try:
            self.logger = posix.posix_spawn(
                path, [path, *arguments], names, file_actions=actions, setsigmask=(), setsigdef=(13,)
            )
            for source in (pipes[0][0], pipes[1][0], pipes[2][1], *moved):
                posix.close(source)
            moved.clear()
            if not ready([pipes[2][0]], OPENING):
                raise Failure(DEADLINE_EXCEEDED, f"{path}: the logger was not ready within {OPENING:.0f} s")
        except BaseException:
            for descriptor in (*writers, *moved, *([p[0] for p in pipes[:2]] + [pipes[2][1]] if moved else [])):
                posix.close(descriptor)
            raise
        finally:
            posix.close(pipes[2][0])
        for extra in writers[count:]:
            posix.close(extra)
        return writers[:count]

    def launched(self) -> None:
        """Called after the launch: closes the shim's copies of the process's descriptors."""
        for descriptor in self.given:
            posix.close(descriptor)
        self.given.clear()

    def abandon(self) -> None:
        """Called if the launch failed: closes everything."""
        self.launched()
        for source, sink, _ in self._copies:
            for descriptor in (source, sink):
                if descriptor >= 0:
                    posix.close(descriptor)
        self._copies.clear()
        for descriptor in (self.console, self.master):
            if descriptor >= 0:
                posix.close(descriptor)
        self.console = self.master = -1
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self.close_input()
        self._release()

    # -- in the loop's thread ----------------------------------------------------------------------------------

    def begin(self, loop: "Loop") -> None:
        """Starts the relays, if any."""
        copies, self._copies = self._copies, []
        for source, sink, name in copies:
            if self.terminal:
                # A descriptor of the terminal for each direction, because epoll waits for each separately.
                mine = _high(self.master)
                source, sink = (mine, sink) if name == "stdout" else (source, mine)
            self._relays.append(Relay(loop, source, sink, name, self._check))

    def resize(self, width: int, height: int) -> None:
        """Sets the terminal's size in characters. Raises Failure if there is no terminal."""
        if self.master < 0:
            raise Failure(INVALID_ARGUMENT, "the process has no terminal")
        import sys

        size = b"".join(number.to_bytes(2, sys.byteorder) for number in (height & 0xFFFF, width & 0xFFFF, 0, 0))
        fcntl.ioctl(self.master, TIOCSWINSZ, size)

    def close_input(self) -> None:
        """Closes the shim's writer of standard input. The process reads end of file once other writers close it,
        too."""
        if self._stdin_writer >= 0:
            posix.close(self._stdin_writer)
            self._stdin_writer = -1

    def when_drained(self, loop: "Loop", action: "Callable[[], object]") -> None:
        """Calls ``action`` when all output of the ended process is copied, or after DRAINING."""
        for relay in self._relays:
            if relay.name == "stdin":
                relay.close()
        if not any(relay.open for relay in self._relays):
            action()
            return
        self._drained.append(action)
        loop.later(DRAINING, self._give_up)

    def _give_up(self) -> None:
        for relay in self._relays:
            relay.close()
        self._check()

    def _check(self) -> None:
        if not any(relay.open for relay in self._relays if relay.name != "stdin"):
            waiting, self._drained = self._drained, []
            for action in waiting:
                action()

    def close(self) -> None:
        """Called when the process and its output have ended."""
        self._drained.clear()
        for relay in self._relays:
            relay.close()
        self._relays.clear()
        self.abandon()

    def _release(self) -> None:
        for descriptor in self._held:
            posix.close(descriptor)
        self._held.clear()


def _null() -> int:
    return posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)


def _high(descriptor: int) -> int:
    """Duplicates a descriptor to a number above all those that child processes get."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 16)


def _is_fifo(path: str) -> bool:
    return posix.stat(path).st_mode & 0o170000 == FIFO


def _split(uri: str) -> "tuple[str, str]":
    """Returns (scheme, path). A plain path means a FIFO."""
    scheme, separator, rest = uri.partition("://")
    return (scheme, unquote(rest.partition("?")[0])) if separator else ("fifo", uri)


def _file(scheme: str, path: str, stream: str) -> int:
    """Opens a log file. Creates it and its directories if they do not exist."""
    if scheme not in ("file", "fifo") or not path.startswith("/"):
        raise Failure(INVALID_ARGUMENT, f"{stream}: {scheme}://{path}: neither fifo, file nor binary")
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NONBLOCK
    if scheme == "fifo":  # a plain path that is not a FIFO
        return posix.open(path, flags)
    make_directories(path.rpartition("/")[0], 0o755)
    return posix.open(path, flags | posix.O_CREAT, 0o644)


def _command(uri: str) -> "tuple[str, list[str]]":
    """Returns the program of ``binary://PATH?name=value&...`` and its arguments: each name, followed by its value if
    any."""
    path, _, query = uri.partition("://")[2].partition("?")
    arguments = []
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        arguments += [unquote(name.replace("+", " ")), unquote(value.replace("+", " "))] if equals else [unquote(name)]
    path = unquote(path)
    if not path.startswith("/"):
        raise Failure(INVALID_ARGUMENT, f"stdout: {uri}: names no program by its whole path")
    return path, arguments


def unquote(text: str) -> str:
    """Decodes percent-encoding of a URI (RFC 3986). A percent sign without a number stays."""
    if "%" not in text:
        return text
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    out = bytearray(first)
    for part in rest:
        try:
            out += bytes((int(part[:2], 16),)) + part[2:] if len(part) > 1 else b"%" + part
        except ValueError:
            out += b"%" + part
    return out.decode("utf-8", "surrogateescape")
