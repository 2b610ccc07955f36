"""The pid file (--pid-file)."""

from pyrunc.errors import PyruncError
from pyrunc.linux.output import replace


def write_pid_file(path: str, pid: int) -> None:
    """Writes the pid as digits only. The file is complete at any time, or does not exist."""
    try:
        replace(path, str(pid).encode())
    except OSError as error:
        raise PyruncError(f"pid file {path}: {(error.strerror or '').lower()}") from None
