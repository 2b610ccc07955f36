"""The signals that a foreground command forwards to its process."""

import _signal

NOT_FORWARDED = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG, _signal.SIGWINCH)
FAULTS = (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP, _signal.SIGABRT)


def signals() -> "set[int]":
    """Returns the forwarded signals, and SIGCHLD and SIGWINCH, which the runtime handles itself."""
    return set(_signal.valid_signals()) - {*NOT_FORWARDED, *FAULTS} | {_signal.SIGCHLD, _signal.SIGWINCH}


def block() -> None:
    """Blocks these signals, so that none is lost before ``next_signal``."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, signals())


def next_signal() -> int:
    """Waits for the next signal. Returns its number, 0 if the runtime handles it itself."""
    number = int(_signal.sigwait(signals()))
    return 0 if number in (_signal.SIGCHLD, _signal.SIGWINCH) else number
