"""The log: lines as logrus writes them, for engines read runc's (``--log``, ``--log-format``, ``--log-level``)."""

import posix
import time

from pyrunc.errors import PyruncError

LEVELS = ("debug", "info", "warning", "error")


class _Log:
    def __init__(self) -> None:
        self.descriptor = 2
        self.json = False
        self.lowest = LEVELS.index("info")


_log = _Log()


def configure(path: "str | None", form: str, level: "str | None", debug: bool) -> None:
    """Opens the log. PyruncError when it can't be, or the level is unknown."""
    name = {"warn": "warning", "fatal": "error", "panic": "error", "trace": "debug"}.get(level or "", level)
    if name and name not in LEVELS:
        raise PyruncError(f"--log-level {level}: is not one of {', '.join(LEVELS)}")
    _log.json = form == "json"
    _log.lowest = LEVELS.index("debug" if debug else name or "info")
    if path:
        flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC
        try:
            _log.descriptor = posix.open(path, flags, 0o644)
        except OSError as error:
            raise PyruncError(f"--log {path}: {(error.strerror or '').lower()}") from None


def _line(level: str, message: str) -> str:
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    from pyrunc.spec.json_text import dumps

    if _log.json:
        return dumps({"level": level, "msg": message, "time": stamp}) + "\n"
    return f'time="{stamp}" level={level} msg={dumps(message)}\n'


def _write(descriptor: int, text: str) -> None:
    try:
        posix.write(descriptor, text.encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # nobody is left to be told


def log(level: str, message: str) -> None:
    """One line, if ``level`` is wanted."""
    if LEVELS.index(level) >= _log.lowest:
        _write(_log.descriptor, _line(level, message))


def debug(message: str) -> None:
    """A line for who looks closely."""
    log("debug", message)


def warning(message: str) -> None:
    """Something the user should know, that stops nothing."""
    log("warning", message)


def error(message: str) -> None:
    """The reason why the command failed: one line on standard error, and one in the log when that is elsewhere."""
    message = " ".join(message.split("\n"))
    if _log.descriptor != 2:
        log("error", message)
        _write(2, f"pyrunc: {message}\n")
    elif _log.json:
        log("error", message)
    else:
        _write(2, f"pyrunc: {message}\n")
