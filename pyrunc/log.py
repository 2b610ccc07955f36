"""The log: lines as logrus writes them, for engines read runc's (``--log``, ``--log-format``, ``--log-level``)."""

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
"""Logrus' other levels."""
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
"""What logrus' text form leaves unquoted."""
FIXED = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""Of the module ``logging``."""


_Namespace: "Any" = type(sys.implementation)  # pyrunc/interpreter.py says why
_log = _Namespace(
    library=True,  # until the command line begins: the program's own logging takes what we have to say
    descriptor=2,
    json=False,
    alone=False,  # nothing goes to standard error besides
    lowest=LEVELS.index("info"),
)


def begin() -> None:
    """This process is the command line's: lines go to standard error until ``configure`` says where."""
    _log.library = False


def configure(path: "str | None", form: str, level: "str | None", debug: bool) -> None:
    """Opens the log. PyruncError when it can't be, or the level is unknown."""
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
    """From now on lines go to ``descriptor`` alone, as logrus' text; -1: nowhere."""
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
    """A descriptor to append to ``path``, which is made when it is missing; the caller's to close. A link, and a file
    with a second name, which may be another user's, are refused (ELOOP, EMLINK); a pipe without a reader is ENXIO."""
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
    """The number of a descriptor of ours that ``path`` names, else -1: one that is a socket (systemd's standard error)
    can't be opened by name."""
    for prefix in ("/dev/fd/", "/proc/self/fd/"):
        number = path.removeprefix(prefix)
        if number != path and number.isascii() and number.isdigit():
            return int(number)
    return FIXED.get(path, -1)


def out(text: str) -> None:
    """A line on standard output, whole, as bytes: what a hot command prints."""
    left = memoryview(_bytes(f"{text}\n"))
    while left:
        left = left[posix.write(1, left) :]


def only(level: str) -> None:
    """From now on nothing below ``level``, unless --debug asked for everything."""
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
        # Go's decoder, too, wants the text to be UTF-8: what the file system gave us otherwise is shown escaped.
        return f'{{"level":"{level}","msg":{quote(_valid(message))},"time":"{stamp}"}}\n'
    text = message if message and BARE.issuperset(message) else quote(message)
    return f'time="{stamp}" level={level} msg={text}\n'


def _valid(text: str) -> str:
    """With what is no text as an escape. By hand: the half-started interpreter has not all error handlers of codecs."""
    if text.isascii():
        return text
    return "".join(_escaped(c) for c in text)


def _escaped(character: str) -> str:
    # By number: a constant that is no character could not be unmarshalled in the half-started interpreter either.
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "\ufffd" if 0xD800 <= ord(character) <= 0xDFFF else character


def _bytes(text: str) -> bytes:
    """Paths as the bytes that they are; any other half of a surrogate pair as the character for what is none."""
    if not text.isascii():
        text = "".join(c if 0xDC80 <= ord(c) <= 0xDCFF else _escaped(c) for c in text)
    return text.encode("utf-8", "surrogateescape")


def _write(descriptor: int, text: str) -> None:
    try:
        posix.write(descriptor, _bytes(text))
    except OSError:
        pass  # there is no other place to report it


def log(level: str, message: str) -> None:
    """Writes one line, if ``level`` is wanted."""
    if _log.library:
        import logging

        logging.getLogger("pyrunc").log(NUMBERS[level], "%s", message)
    elif wanted(level):
        _write(_log.descriptor, _line(level, message))


def debug(message: str) -> None:
    """Writes a line of level debug."""
    log("debug", message)


def warning(message: str) -> None:
    """Writes a line of level warning: the user should know it, and the command goes on."""
    log("warning", message)


def notice(message: str) -> None:
    """A warning that must be seen: on standard error, too, when the log is elsewhere."""
    _both("warning", message)


def error(message: str) -> None:
    """The reason why the command failed: one line on standard error, and one in the log when that is elsewhere."""
    # One line, whatever name from config.json is in it: no line of the log can be forged, no terminal be driven.
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
