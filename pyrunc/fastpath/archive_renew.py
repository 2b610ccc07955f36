"""Builds the archives again if they are for another version of Python, and the installation belongs to this user.

The launcher's prelude calls it if a command was not run from its archive. Without archives everything works, only
slower.
"""

import posix

from pyrunc.fastpath.archive_key import key
from pyrunc.fastpath.commands import HOT

DIRECTORY = __file__.rpartition("/")[0].rpartition("/")[0] + "/_bin/hot"


def status(command: str = "state") -> str:
    """Returns ``current``, ``missing``, or the key in the archive of ``command``."""
    try:
        with open(f"{DIRECTORY}/{command}", "rb") as file:
            line = file.readline(100)
    except OSError:
        return "missing"
    return "current" if line == key() else line.decode("ascii", "replace").strip()


def renew(command: str) -> str:
    """Builds all archives again if that of ``command`` is for another Python. Returns a message to log, or ""."""
    found = status(command)
    if found in ("current", "missing"):  # missing: built without archives, so do not write any unexpectedly
        return ""
    what = f"the archives of modules are another Python's ({found}, this is {key().decode().strip()})"
    try:
        return f"{what}: {'built again' if _build() else 'another command builds them'}"
    except Exception as error:  # no error here may stop the command
        return f"{what}, and stay so: {error}"


def _build() -> bool:
    """Builds the archives. Returns False if another process is building them. Raises OSError, of which PermissionError
    means that the directory is not this user's."""
    import fcntl

    from pyrunc.fastpath.archive_build import build

    descriptor = posix.open(DIRECTORY, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        ours = posix.fstat(descriptor)
        # Even root does not write to a user's checkout, because the user could no longer build there.
        if ours.st_uid != posix.geteuid():
            raise PermissionError(f"{DIRECTORY} belongs to user {ours.st_uid}")
        if not posix.access(DIRECTORY, posix.W_OK):
            raise PermissionError(f"{DIRECTORY} cannot be written to")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with open(f"{DIRECTORY}/{HOT[0]}", "rb") as file:
            file.readline()
            build(DIRECTORY, file.readline().split()[1] == b"checked")
        return True
    finally:
        posix.close(descriptor)
