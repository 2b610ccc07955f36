"""The log (``--log``, ``--log-format``, ``--log-level``). Lines have the format of logrus, because engines read runc's
log."""

import _json
import errno
import posix
import sys

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEVELS = ("debug", "info", "warning", "error")
ALIASES = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}
"""Other levels of logrus, and the levels here that they correspond to."""
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
"""The characters that the text format of logrus does not quote."""
FIXED = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""The levels of Python's module ``logging``."""


_Namespace: "Any" = type(sys.implementation)  # pyrunc/interpreter.py says why
_log = _Namespace(
    library=True,  # until the command line begins: messages go to the program's own ``logging``
    descriptor=2,
    json=False,
    alone=False,  # whether nothing is written to standard error in addition
    lowest=LEVELS.index("info"),
)


def begin() -> None:
    """Marks this process as the command line's: lines go to standard error until ``configure`` is called."""
    _log.library = False


def configure(path: "str | None", form: str, level: "str | None", debug: bool) -> None:
    """Opens the log. PyruncError if that fails, or if the level is unknown."""
    begin()
    _log.json = form == "json"
    if path:
        _log.descriptor = _open(path)
    name = (level or "info").lower()
    name = ALIASES.get(name, name)
    if name not in LEVELS:
        raise PyruncError(f"--log-level {level}: is not one of {', '.join(LEVELS)}")
    _log.lowest = LEVELS.index("debug" if debug else name)


def to(descriptor: int, debug: bool) -> None:
    """Sends lines from now on only to ``descriptor``, in the text format of logrus. -1: discards them."""
    begin()
    _log.descriptor = descriptor
    _log.json = False
    _log.alone = True
    _log.lowest = LEVELS.index("debug" if debug else "info")


def _open(path: str) -> int:
    try:
        return append(path)
    except OSError as error:
        raise PyruncError(f"--log {path}: {(error.strerror or '').lower()}") from None


def append(path: str) -> int:
    """Opens ``path`` for appending, and makes it if it is missing; returns the descriptor, which the caller closes.
    OSError for a link (ELOOP) and for a file with several names (EMLINK), which may be another user's file, and for a
    pipe without a reader (ENXIO)."""
    if (number := own_descriptor(path)) >= 0:
        return posix.dup(number)
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
    try:
        return posix.open(path, flags | posix.O_CREAT | posix.O_EXCL, 0o644)
    except FileExistsError:
        descriptor = posix.open(path, flags)
    status = posix.fstat(descriptor)
    if status.st_mode & 0o170000 == 0o100000 and status.st_nlink > 1:
        posix.close(descriptor)
        raise OSError(errno.EMLINK, "the file has more than one name")
    return descriptor


def own_descriptor(path: str) -> int:
    """Returns the number of the descriptor of this process that ``path`` names, else -1. A socket, such as standard
    error from systemd, cannot be opened by such a path."""
    for prefix in ("/dev/fd/", "/proc/self/fd/"):
        number = path.removeprefix(prefix)
        if number != path and number.isascii() and number.isdigit():
            return int(number)
    return FIXED.get(path, -1)


def out(text: str) -> None:
    """Writes a line to standard output completely, without Python's streams: for hot commands."""
    left = memoryview(_bytes(f"{text}\n"))
    while left:
        left = left[posix.write(1, left) :]


def only(level: str) -> None:
    """Logs nothing below ``level`` from now on, unless the level is debug."""
    if _log.lowest != LEVELS.index("debug"):
        _log.lowest = max(_log.lowest, LEVELS.index(level))


def wanted(level: str) -> bool:
    """Whether a line of ``level`` would be written."""
    if _log.library:
        logging = sys.modules.get("logging")
        return logging is not None and bool(logging.getLogger("pyrunc").isEnabledFor(NUMBERS[level]))
    return bool(LEVELS.index(level) >= _log.lowest)


def _line(level: str, message: str) -> str:
    import time  # reads /etc/localtime

    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    quote = _json.encode_basestring
    if _log.json:
        # JSON must be UTF-8, also for Go's decoder. Bytes from the file system that are not are escaped.
        return f'{{"level":"{level}","msg":{quote(_valid(message))},"time":"{stamp}"}}\n'
    text = message if message and BARE.issuperset(message) else quote(message)
    return f'time="{stamp}" level={level} msg={text}\n'


def _valid(text: str) -> str:
    """Returns ``text`` with surrogates escaped. Done by hand, because the half-started interpreter does not have all
    error handlers of codecs."""
    if text.isascii():
        return text
    return "".join(_escaped(c) for c in text)


def _escaped(character: str) -> str:
    # By number, because the half-started interpreter cannot unmarshal a string constant with a surrogate either.
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "\ufffd" if 0xD800 <= ord(character) <= 0xDFFF else character


def _bytes(text: str) -> bytes:
    """Encodes ``text``. Surrogates that stand for bytes of a path become these bytes; others become U+FFFD."""
    if not text.isascii():
        text = "".join(c if 0xDC80 <= ord(c) <= 0xDCFF else _escaped(c) for c in text)
    return text.encode("utf-8", "surrogateescape")


def _write(descriptor: int, text: str) -> None:
    try:
        posix.write(descriptor, _bytes(text))
    except OSError:
        pass  # there is nowhere else to report it


def log(level: str, message: str) -> None:
    """Writes one line if ``level`` is enabled."""
    if _log.library:
        import logging

        logging.getLogger("pyrunc").log(NUMBERS[level], "%s", message)
    elif wanted(level):
        _write(_log.descriptor, _line(level, message))


def debug(message: str) -> None:
    """Writes a line of level debug."""
    log("debug", message)


def warning(message: str) -> None:
    """Writes a line of level warning: something that the user should know, but that does not end the command."""
    log("warning", message)


def notice(message: str) -> None:
    """Writes a warning that the user must see: also on standard error if the log is elsewhere."""
    _both("warning", message)


def error(message: str) -> None:
    """Writes the reason for the command's failure: one line on standard error, and one in the log if that is
    elsewhere."""
    # Names from config.json may contain any character: they must not forge a line of the log, nor control a terminal.
    shown = "".join([c if c.isprintable() or 0xDC80 <= ord(c) <= 0xDCFF else " " for c in message])
    _both("error", shown.strip())


def _both(level: str, message: str) -> None:
    if _log.library or _log.alone:
        log(level, message)
        return
    if _log.descriptor != 2 or _log.json:
        log(level, message)
    if _log.descriptor != 2 or not _log.json:
        _write(2, f"pyrunc: {message}\n")
