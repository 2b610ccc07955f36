"""What is on disk about a container: ``ROOT/ID/state.json``, written whole, and the lock on its directory.

The order is what makes a SIGKILL at any moment harmless: the state names the cgroups before the first one is made,
the pid before the process may go on, and is the last thing that ``delete`` removes.
"""

import errno
import fcntl
import posix

from pyrunc import interrupts
from pyrunc.container import process
from pyrunc.errors import ContainerExists, NoSuchContainer, PyruncError
from pyrunc.spec.json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = "1.3.0"
SOCKET = "start.sock"
MESSAGE_SIZE = 8192
"""More than the longest message of the helper (``sizeof failure`` in nsenter/helper.h)."""
CRIU_ROOT = "criu-root"
"""A mount of the rootfs, while `restore` is at work."""
LOCK_TIMEOUT = 10.0
"""Seconds that a command waits for another one on the same container."""
ID_LIMIT = 255  # NAME_MAX of every filesystem that /run may be


def check_id(container_id: str) -> None:
    """PyruncError unless runc would take the id: letters, digits, ``_+-.`` and neither ``.`` nor ``..``."""
    if not container_id:
        raise PyruncError("container id cannot be empty")
    known = all(c.isascii() and (c.isalnum() or c in "_+-.") for c in container_id)
    if not known or container_id in (".", "..") or len(container_id) > ID_LIMIT:
        shown = container_id if len(container_id) < 80 else container_id[:77] + "..."
        raise PyruncError(f"invalid container id {shown!r}: up to {ID_LIMIT} letters, digits and any of _+-.")


def write_whole(directory: str, name: str, data: bytes, mode: int = 0o600) -> None:
    """Writes ``directory/name`` so that a reader sees the old file or the new one, and a crash leaves no half."""
    temporary = f"{directory}/.{name}.{posix.getpid()}"
    descriptor = posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, mode)
    try:
        left = memoryview(data)
        while left:
            left = left[posix.write(descriptor, left) :]
    except OSError:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(descriptor)
    posix.rename(temporary, f"{directory}/{name}")


def write_pid_file(path: str, pid: int) -> None:
    """Digits only, whole or not at all."""
    directory, _, name = path.rpartition("/")
    try:
        write_whole(directory or ".", name, str(pid).encode(), 0o644)
    except OSError as error:
        raise PyruncError(f"pid file {path}: {(error.strerror or '').lower()}") from None


def make_root(root: str) -> None:
    """The directory of all states, 0700, with its parents."""
    parts = root.rstrip("/").split("/")
    for count in range(2, len(parts) + 1):
        path = "/".join(parts[:count])
        try:
            posix.mkdir(path, 0o700 if count == len(parts) else 0o755)
        except FileExistsError:
            continue
        except OSError as error:
            raise PyruncError(f"state directory {root}: mkdir {path}: {(error.strerror or '').lower()}") from None


class State:
    """One container's directory and, when ``load`` has read it, its ``data`` (the JSON object of state.json)."""

    __slots__ = ("container_id", "data", "directory", "lock")
    NOTIFY = "notify"
    """Directory of the socket for sd_notify(3), where there is one."""

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        self.container_id = container_id
        self.directory = f"{root.rstrip('/')}/{container_id}"
        self.data: dict[str, Any] = {}
        self.lock = -1

    @classmethod
    def load(cls, root: str, container_id: str) -> "State":
        """The state of an existing container; NoSuchContainer, or PyruncError when it can't be read."""
        state = cls(root, container_id)
        state.reload()
        return state

    def reload(self) -> None:
        """Reads state.json again."""
        try:
            text = process.read(f"{self.directory}/state.json")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise NoSuchContainer(self.container_id) from None
            raise PyruncError(f"{self.directory}/state.json: {(error.strerror or '').lower()}") from None
        try:
            self.data = loads(text)
        except ValueError as error:
            raise PyruncError(f"{self.directory}/state.json: {error}") from None

    def make(self) -> None:
        """Makes and locks the directory of a new container."""
        try:
            posix.mkdir(self.directory, 0o700)
        except FileExistsError:
            raise ContainerExists(self.container_id) from None
        except OSError as error:
            raise PyruncError(f"mkdir {self.directory}: {(error.strerror or '').lower()}") from None
        self.take_lock()

    def take_lock(self) -> None:
        """Waits for other commands on this container, then holds it; NoSuchContainer if they removed it."""
        try:
            self.lock = posix.open(self.directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchContainer(self.container_id) from None
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait_for_lock()
        if posix.fstat(self.lock).st_nlink == 0:
            self.release()
            raise NoSuchContainer(self.container_id)

    def _wait_for_lock(self) -> None:
        """flock(2) has no time limit of its own, and one by a signal would be the whole process's."""
        import time

        interrupts.allow()
        end = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    what = f"container {self.container_id} is busy: another command holds it for {LOCK_TIMEOUT:.0f} s"
                    raise PyruncError(what) from None
            time.sleep(0.005)

    def release(self) -> None:
        """Lets the next command in."""
        if self.lock >= 0:
            posix.close(self.lock)
            self.lock = -1

    def save(self) -> None:
        """Writes ``data``."""
        try:
            write_whole(self.directory, "state.json", dumps(self.data).encode())
        except OSError as error:
            raise PyruncError(f"{self.directory}/state.json: {(error.strerror or '').lower()}") from None

    def remove(self) -> None:
        """Removes the directory, state.json last: until then `delete` can be repeated."""
        try:
            names = posix.listdir(self.directory)
        except FileNotFoundError:
            return
        if CRIU_ROOT in names:
            from pyrunc.criu.root import Root

            Root(self.directory).remove()
            names.remove(CRIU_ROOT)
        if self.NOTIFY in names:
            self._remove_notify()
            names.remove(self.NOTIFY)
        for name in sorted(names, key=lambda name: name == "state.json"):
            posix.unlink(f"{self.directory}/{name}")
        posix.rmdir(self.directory)
        self.release()

    def _remove_notify(self) -> None:
        directory = f"{self.directory}/{self.NOTIFY}"
        for name in posix.listdir(directory):
            posix.unlink(f"{directory}/{name}")
        posix.rmdir(directory)

    @property
    def socket(self) -> str:
        """Path on which init waits for `start`; it exists as long as the container is created, not started."""
        return f"{self.directory}/{SOCKET}"


def timestamp(nanoseconds: int) -> str:
    """``nanoseconds`` since 1970, in UTC, as RFC 3339 (runc's ``created``).

    By hand: the module ``time`` reads /etc/localtime when it is imported.
    """
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    days, second = divmod(seconds, 86400)
    # Civil from days (Howard Hinnant's date algorithms): years begin in March, so that leap days end them.
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    year = year_of_era + era * 400 + (month <= 2)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{fraction:09d}Z"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}"


def ids(root: str) -> "list[str]":
    """Every container id below ``root``, sorted."""
    try:
        return sorted(name for name in posix.listdir(root) if not name.startswith("."))
    except FileNotFoundError:
        return []
