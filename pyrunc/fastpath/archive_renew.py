"""Archives of another Python are built again, once, where the installation is ours to write.

Run by the launcher's prelude when a command was not run from its archive. Without archives everything works, only
slower.
"""

import posix

from pyrunc.fastpath.archive_key import key
from pyrunc.fastpath.commands import HOT

DIRECTORY = __file__.rpartition("/")[0].rpartition("/")[0] + "/_bin/hot"


def status(command: str = "state") -> str:
    """``current``, ``missing``, or the key of the Python that the archive of ``command`` was built by."""
    try:
        with open(f"{DIRECTORY}/{command}", "rb") as file:
            line = file.readline(100)
    except OSError:
        return "missing"
    return "current" if line == key() else line.decode("ascii", "replace").strip()


def renew(command: str) -> str:
    """Builds all archives again if that of ``command`` is another Python's. Returns what to say of it, or nothing."""
    found = status(command)
    if found in ("current", "missing"):  # missing: built without, and not to be written to by surprise
        return ""
    what = f"the archives of modules are another Python's ({found}, this is {key().decode().strip()})"
    try:
        return f"{what}: {'built again' if _build() else 'another command builds them'}"
    except Exception as error:  # whatever it is, it must not keep the command from its work
        return f"{what}, and stay so: {error}"


def _build() -> bool:
    """False when another process is at it. OSError and PermissionError: they are not ours to write."""
    import fcntl

    from pyrunc.fastpath.archive_build import build

    descriptor = posix.open(DIRECTORY, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        ours = posix.fstat(descriptor)
        # Also root leaves a user's checkout alone: the user could not build there any more.
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
