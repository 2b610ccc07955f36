"""Checks open file descriptions that the container shares with the caller (standard streams, preserved descriptors),
and the caller's terminal. Flags, owner, pipe size and terminal settings that a library has changed would outlast the
container."""

import fcntl
import posix
import termios
from signal import SIG_IGN, SIGTTOU, signal

from pyrunc.errors import PyruncError
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

F_GETSIG, F_SETSIG, F_GETPIPE_SZ, F_SETPIPE_SZ = 11, 10, 1032, 1031
"""fcntl(2). Python has names for some of them only since 3.10."""
WINDOW = 8
"""Bytes of struct winsize (ioctl_tty(2))."""


def _window(descriptor: int) -> bytes:
    return fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(WINDOW))


def _set_window(descriptor: int, value: bytes) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, value)


PROPERTIES: "dict[str, tuple[Callable[[int], Any], Callable[[int, Any], object]]]" = {
    "flags": (lambda d: fcntl.fcntl(d, fcntl.F_GETFL), lambda d, value: fcntl.fcntl(d, fcntl.F_SETFL, value)),
    "owner": (lambda d: fcntl.fcntl(d, fcntl.F_GETOWN), lambda d, value: fcntl.fcntl(d, fcntl.F_SETOWN, value)),
    "signal": (lambda d: fcntl.fcntl(d, F_GETSIG), lambda d, value: fcntl.fcntl(d, F_SETSIG, value)),
    "pipe size": (lambda d: fcntl.fcntl(d, F_GETPIPE_SZ), lambda d, value: fcntl.fcntl(d, F_SETPIPE_SZ, value)),
    "terminal settings": (termios.tcgetattr, lambda d, value: termios.tcsetattr(d, termios.TCSANOW, value)),
    "window size": (_window, _set_window),
    "foreground process group": (posix.tcgetpgrp, posix.tcsetpgrp),
}


class Streams:
    """``descriptors``: those whose descriptions the container shares. -1 and closed descriptors are ignored."""

    def __init__(self, descriptors: "Iterable[int]") -> None:
        open_ones = [d for d in descriptors if d >= 0 and _ask(PROPERTIES["flags"][0], d) is not None]
        self.before = {(d, name): _ask(get, d) for d in open_ones for name, (get, _) in PROPERTIES.items()}
        self.terminal = _terminal()

    def restore(self) -> "list[str]":
        """Restores what differs, and returns the names. Raises PyruncError if something cannot be restored."""
        undone = []
        for (descriptor, name), value in self.before.items():
            get, put = PROPERTIES[name]
            if _ask(get, descriptor) == value:
                continue
            ours = signal(SIGTTOU, SIG_IGN)  # a background process would be stopped (termios(3))
            try:
                put(descriptor, value)
            except OSError as error:
                raise PyruncError(
                    f"loading changed what cannot be undone: {name} of descriptor {descriptor}: "
                    f"{(error.strerror or '').lower()}"
                ) from None
            finally:
                signal(SIGTTOU, ours)
            undone.append(f"{name} of descriptor {descriptor}")
        if _terminal() != self.terminal:
            raise PyruncError("loading changed what cannot be undone: it took the caller's terminal away")
        return undone


def _ask(get: "Callable[[int], Any]", descriptor: int) -> "Any":
    """Returns the property, None if the description does not have it."""
    try:
        return get(descriptor)
    except (OSError, termios.error):
        return None


def _terminal() -> int:
    """Returns the device number of this process's controlling terminal, or 0 (proc(5): tty_nr)."""
    return int(read("/proc/self/stat").rpartition(b")")[2].split()[4])
