"""Controls when a signal may end a command.

A command takes milliseconds, but a signal in the middle would leave half a container. Signals that end a process are
therefore blocked (by the launcher, nsenter/launcher/interpreter.c, or by ``hold``), and unblocked only while the
command waits for another process: ``with allowed``. There they raise KeyboardInterrupt or Terminated, so that the
command rolls back. In a program that uses pyrunc as a library the signals belong to the program, and this module does
nothing.
"""

import posix

from pyrunc import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SIGHUP, SIGINT, SIGQUIT, SIGTERM = 1, 2, 3, 15
PATIENCE = 0.2
"""Seconds after which a wait for the helper unblocks signals. A step takes longer only if it waits for a process."""
ENDING = (SIGHUP, SIGQUIT, SIGTERM)
"""Signals that raise Terminated. SIGINT raises Python's KeyboardInterrupt."""


class Terminated(BaseException):
    """Raised by a signal that ends the command, during a wait. ``number``: the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.number = number


_state = interpreter.Namespace(held=False, handled=False)


def hold() -> None:
    """Blocks the signals from here on, except in ``allowed``. Usually the launcher has already blocked them; if the
    interpreter was started without the launcher, this function does."""
    _state.held = True
    if not interpreter.half_started():
        import _signal

        _signal.pthread_sigmask(_signal.SIG_BLOCK, _blocked())


def allow() -> None:
    """Unblocks the signals for the rest of the command."""
    if _state.held:
        _state.held = False
        _let_in()


class _Allowed:
    """A context that unblocks the signals. It blocks them again at its end, so that only the wait inside can raise."""

    __slots__ = ()

    def __enter__(self) -> None:
        if _state.held:
            _let_in()

    def __exit__(self, *_: object) -> None:
        if _state.held:
            import _signal

            _signal.pthread_sigmask(_signal.SIG_BLOCK, _blocked())


allowed = _Allowed()
"""``with allowed:`` around a wait."""


def _let_in() -> None:
    interpreter.complete()
    import _signal

    if not _state.handled:
        _state.handled = True
        if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        for number in ENDING:
            # Do not handle signals that the caller has set to be ignored (nohup).
            if _signal.getsignal(number) == _signal.SIG_DFL:
                _signal.signal(number, _terminate)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _terminate(number: int, _: "FrameType | None") -> None:
    raise Terminated(number)


def _blocked() -> "set[int]":
    """Returns the signals to block, the same as the launcher's ``held_signals``: all except for those that report an
    error of this process, and those that only inform."""
    import _signal as s

    faults = {s.SIGSEGV, s.SIGBUS, s.SIGFPE, s.SIGILL, s.SIGTRAP, s.SIGABRT, s.SIGSYS}
    return set(s.valid_signals()) - faults - {s.SIGURG, s.SIGWINCH}


def die_by(number: int) -> None:
    """Ends this process by signal ``number``, so that its parent sees that a signal has ended the command."""
    import _signal

    _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    posix.kill(posix.getpid(), number)
