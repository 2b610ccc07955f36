"""The signals that a foreground command forwards to its process."""

import _signal

NOT_FORWARDED = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG, _signal.SIGWINCH)
FAULTS = (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP, _signal.SIGABRT)


def signals() -> "set[int]":
    """What is forwarded, with SIGCHLD and SIGWINCH for ourselves."""
    return set(_signal.valid_signals()) - {*NOT_FORWARDED, *FAULTS} | {_signal.SIGCHLD, _signal.SIGWINCH}


def block() -> None:
    """Blocks them, so that none is lost until ``next_signal``."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, signals())


def next_signal() -> int:
    """Waits for the next one; 0 when it was for ourselves."""
    number = int(_signal.sigwait(signals()))
    return 0 if number in (_signal.SIGCHLD, _signal.SIGWINCH) else number
