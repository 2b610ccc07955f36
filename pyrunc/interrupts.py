"""When a signal may end a command.

A hot command takes some milliseconds, and one that is ended in the middle leaves half a container: the launcher holds
signals back (nsenter/interpreter.c) until the command is done, or has to wait for somebody and calls ``allow``. In a
program that uses pyrunc as a library signals are the program's own: nothing is done here.
"""

from pyrunc import hot


class _Held:
    signals = False


def hold() -> None:
    """Said by `main`: the launcher has blocked signals."""
    _Held.signals = True


def take() -> None:
    """Said by who blocks signals to hand them on to a container's process: they are no longer ours to allow."""
    _Held.signals = False


def allow() -> None:
    """From here on an interrupt is a KeyboardInterrupt, and the other signals do what they do."""
    if _Held.signals:
        _Held.signals = False
        hot.complete()
        import _signal

        if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
