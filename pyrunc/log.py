"""The log: lines as logrus writes them, for engines read runc's (``--log``, ``--log-format``, ``--log-level``)."""

import _json
import errno
import posix

from pyrunc.errors import PyruncError

LEVELS = ("debug", "info", "warning", "error")
ALIASES = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}
"""Logrus' other levels."""
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
"""What logrus' text form leaves unquoted."""


NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""Of the module ``logging``."""


class _Log:
    def __init__(self) -> None:
        self.library = True  # until the command line begins: the program's own logging takes what we have to say
        self.descriptor = 2
        self.json = False
        self.lowest = LEVELS.index("info")


_log = _Log()


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


def _open(path: str) -> int:
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC
    try:
        return posix.open(path, flags, 0o644)
    except OSError as error:
        number = path.rpartition("/")[2]
        # A descriptor of ours that is a socket (systemd's standard error) can't be opened by name, only be copied.
        if error.errno == errno.ENXIO and path.startswith(("/dev/fd/", "/proc/self/fd/")) and number.isdigit():
            return posix.dup(int(number))
        raise PyruncError(f"--log {path}: {(error.strerror or '').lower()}") from None


def out(text: str) -> None:
    """A line on standard output, whole, as bytes: what a hot command prints."""
    left = memoryview(f"{text}\n".encode("utf-8", "surrogateescape"))
    while left:
        left = left[posix.write(1, left) :]


def only(level: str) -> None:
    """From now on nothing below ``level``, unless --debug asked for everything."""
    if _log.lowest != LEVELS.index("debug"):
        _log.lowest = max(_log.lowest, LEVELS.index(level))


def wanted(level: str) -> bool:
    """Whether a line of ``level`` would be written."""
    return LEVELS.index(level) >= _log.lowest


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
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _write(descriptor: int, text: str) -> None:
    try:
        posix.write(descriptor, text.encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # nobody is left to be told


def log(level: str, message: str) -> None:
    """One line, if ``level`` is wanted."""
    if _log.library:
        import logging

        logging.getLogger("pyrunc").log(NUMBERS[level], "%s", message)
    elif wanted(level):
        _write(_log.descriptor, _line(level, message))


def debug(message: str) -> None:
    """A line for who looks closely."""
    log("debug", message)


def warning(message: str) -> None:
    """Something the user should know, that stops nothing."""
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
    if _log.library:
        log(level, message)
        return
    if _log.descriptor != 2 or _log.json:
        log(level, message)
    if _log.descriptor != 2 or not _log.json:
        _write(2, f"pyrunc: {message}\n")
