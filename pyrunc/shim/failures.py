"""Converts errors to failures for containerd: gRPC's status code, which it maps to its own errors, and a one-line
message."""

import errno
import posix

from pyrunc.errors import ContainerExists, NoSuchContainer, NotRunning, PyruncError, SpecError, StepError, WrongStatus
from pyrunc.shim.ttrpc import (
    ALREADY_EXISTS,
    DEADLINE_EXCEEDED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNKNOWN,
    Failure,
)

CODES = (
    # the first that matches
    (NoSuchContainer, NOT_FOUND),
    (ContainerExists, ALREADY_EXISTS),
    (NotRunning, NOT_FOUND),
    (WrongStatus, FAILED_PRECONDITION),
    (SpecError, INVALID_ARGUMENT),
    (TimeoutError, DEADLINE_EXCEEDED),
    (MemoryError, RESOURCE_EXHAUSTED),
)
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN)
"""Errors of the kernel that are not caused by the call."""
WORDS = tuple(posix.strerror(number).lower() for number in SCARCE)


def failure_of(error: BaseException, what: str = "") -> Failure:
    """Returns ``error`` as a Failure. ``what`` precedes the message of pyrunc's own errors."""
    if isinstance(error, Failure):
        return error
    text = _line(error)
    if not isinstance(error, (PyruncError, OSError, MemoryError, RuntimeError)):
        return Failure(INTERNAL, f"internal error: {type(error).__name__}: {text}")
    code = next((code for kind, code in CODES if isinstance(error, kind)), UNKNOWN)
    number = error.errno if isinstance(error, (StepError, OSError)) else 0
    if code == UNKNOWN and (number in SCARCE or text.endswith(WORDS)):
        code = RESOURCE_EXHAUSTED
    return Failure(code, f"{what}: {text}" if what else text)


def _line(error: BaseException) -> str:
    """Returns the message on one line. It may contain names from the container with any characters."""
    if isinstance(error, MemoryError):
        return "cannot allocate memory"
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    else:
        text = str(error)
    return "".join([c if c.isprintable() or 0xDC80 <= ord(c) <= 0xDCFF else " " for c in text]).strip()
