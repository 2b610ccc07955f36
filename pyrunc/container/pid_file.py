"""The pid file (--pid-file)."""

from pyrunc.errors import PyruncError
from pyrunc.linux.output import replace


def write_pid_file(path: str, pid: int) -> None:
    """Writes the pid, digits only; the file is whole or not there."""
    try:
        replace(path, str(pid).encode())
    except OSError as error:
        raise PyruncError(f"pid file {path}: {(error.strerror or '').lower()}") from None
