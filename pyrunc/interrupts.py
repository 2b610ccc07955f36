"""When a signal may end a command.

A command of milliseconds that is ended in the middle leaves half a container: signals that would end it are held back
(by the launcher, nsenter/launcher/interpreter.c, or by ``hold``) and let in only while it waits for another process:
``with allowed``. There they raise KeyboardInterrupt or Terminated, so that what was half made is undone. In a program
that uses pyrunc as a library signals are the program's own: nothing is done here.
"""

import posix

from pyrunc import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SIGHUP, SIGINT, SIGQUIT, SIGTERM = 1, 2, 3, 15
PATIENCE = 0.2
"""Seconds that a step of the helper takes at most, unless it waits for another process: then signals are let in."""
ENDING = (SIGHUP, SIGQUIT, SIGTERM)
"""Besides SIGINT, which is Python's own KeyboardInterrupt."""


class Terminated(BaseException):
    """A signal that ends the command came while it waited. ``number``: which one."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.number = number


_state = interpreter.Namespace(held=False, handled=False)


def hold() -> None:
    """From here on they wait for ``allowed``. The launcher has blocked them; where it could not, that is done here."""
    _state.held = True
    if not interpreter.half_started():
        import _signal

        _signal.pthread_sigmask(_signal.SIG_BLOCK, _blocked())


def allow() -> None:
    """From here on they are let in, for the rest of the command."""
    if _state.held:
        _state.held = False
        _let_in()


class _Allowed:
    """Blocks again at its end: an exception comes from inside the wait only."""

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
            # Not those that the caller has us ignore (nohup).
            if _signal.getsignal(number) == _signal.SIG_DFL:
                _signal.signal(number, _terminate)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _terminate(number: int, _: "FrameType | None") -> None:
    raise Terminated(number)


def _blocked() -> "set[int]":
    """As the launcher's ``held_signals``: not what is an error of our own, nor what only informs."""
    import _signal as s

    faults = {s.SIGSEGV, s.SIGBUS, s.SIGFPE, s.SIGILL, s.SIGTRAP, s.SIGABRT, s.SIGSYS}
    return set(s.valid_signals()) - faults - {s.SIGURG, s.SIGWINCH}


def die_by(number: int) -> None:
    """Ends this process by signal ``number``, as its parent expects of a command that was terminated."""
    import _signal

    _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    posix.kill(posix.getpid(), number)
