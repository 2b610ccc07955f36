"""What is on disk about a container: ``ROOT/ID/state.json``, written whole, and the lock on its directory.

The order is what makes a SIGKILL at any moment harmless: the state names the cgroups before the first one is made,
the pid before the process may go on, and is the last thing that ``delete`` removes.
"""

import errno
import fcntl
import posix

from pyrunc import interrupts
from pyrunc.errors import ContainerExists, DamagedState, NoSuchContainer, PyruncError
from pyrunc.linux.files import make_directories, read
from pyrunc.linux.output import write_whole
from pyrunc.spec.json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

FILE = "state.json"
SOCKET = "start.sock"
ROOT_MOUNT = "criu-root"
"""As resources/root_mount.py has it, which is imported only where there is one."""
NOTIFY = "notify"
"""As resources/notify_socket.py has it."""
LOCK_TIMEOUT = 10.0
"""Seconds that a command waits for another one on the same container."""
REQUIRED = ("pid", "start_time", "bundle", "cgroups")
"""Fields without which nothing can be done with a container."""
ID_LIMIT = 255  # NAME_MAX of every filesystem that /run may be


def check_id(container_id: str) -> None:
    """PyruncError unless runc would take the id: letters, digits, ``_+-.`` and neither ``.`` nor ``..``."""
    if not container_id:
        raise PyruncError("container id cannot be empty")
    if not is_id(container_id):
        shown = container_id if len(container_id) < 80 else container_id[:77] + "..."
        raise PyruncError(f"invalid container id {shown!r}: up to {ID_LIMIT} letters, digits and any of _+-.")


def is_id(name: str) -> bool:
    """Whether a container may be called so; what else lies below the root (filter_cache.py) has another name."""
    known = all(c.isascii() and (c.isalnum() or c in "_+-.") for c in name)
    return known and name not in ("", ".", "..") and len(name) <= ID_LIMIT


def make_root(root: str) -> None:
    """The directory of all states, 0700, with its parents."""
    try:
        make_directories(root, 0o755, 0o700)
    except OSError as error:
        raise unusable(f"state directory {root}: mkdir {error.filename}", error) from None


def unusable(what: str, error: OSError) -> PyruncError:
    """``what``, the kernel's answer, and for a user without a state directory how to get one."""
    advice = ""
    if error.errno == errno.EACCES and posix.geteuid() != 0 and b"XDG_RUNTIME_DIR" not in posix.environ:
        advice = "; XDG_RUNTIME_DIR is not set: log in (loginctl enable-linger keeps it), or give a directory by --root"
    return PyruncError(f"{what}: {(error.strerror or '').lower()}{advice}")


def ids(root: str) -> "list[str]":
    """Every container id below ``root``, sorted."""
    try:
        return sorted(filter(is_id, posix.listdir(root)))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise unusable(root, error) from None


def matching(root: str, pattern: str) -> "list[str]":
    """The ids below ``root`` that the regular expression finds something in; PyruncError when it is none."""
    import re

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise PyruncError(f"--regex {pattern!r}: {error}") from None
    return [name for name in ids(root) if expression.search(name)]


class State:
    """What is recorded of a container: the fields of state.json, with the values that a new one has.

    ``pid`` and ``start_time`` (field 22 of /proc/PID/stat) are init's, 0 until it is recorded. ``cgroups`` {hierarchy:
    absolute directory}. ``systemd_unit``: the scope, "" without systemd. ``mount_namespace``: container/processes.py.
    ``config``: the validated config as JSON has it. ``intel_rdt``: directories below ``resctrl`` that end with the
    container. ``root_mount``: where the root is mounted among the host's mounts, ``root_mount_below``: the id of the
    mount under it (resources/host_root.py). ``descriptors``: what init's standard descriptors were, for CRIU.
    ``poststop_done``: the hooks have run, in a `delete` that could not do all.
    """

    __slots__ = (
        "annotations",
        "bundle",
        "cgroups",
        "config",
        "created",
        "descriptors",
        "id",
        "intel_rdt",
        "mount_namespace",
        "no_new_keyring",
        "owner",
        "pid",
        "placement",
        "poststop_done",
        "resctrl",
        "root_mount",
        "root_mount_below",
        "rootfs",
        "start_time",
        "systemd_unit",
        "version",
    )

    def __init__(self) -> None:
        self.id = self.bundle = self.rootfs = self.created = self.version = ""
        self.pid = self.start_time = self.owner = self.root_mount_below = 0
        self.root_mount = ""
        self.annotations: dict[str, str] = {}
        self.cgroups: dict[str, str] = {}
        self.systemd_unit = self.mount_namespace = ""
        self.no_new_keyring = self.poststop_done = False
        self.placement, self.resctrl = "hardened", "/sys/fs/resctrl"
        self.config: dict[str, Any] = {}
        self.intel_rdt: list[str] = []
        self.descriptors: list[str] = []

    @classmethod
    def of(cls, data: "Any") -> "Self":
        """From the JSON object. What an older pyrunc did not record has the value of a new one; ValueError when what
        every pyrunc records is missing, or a value has another type: the file was damaged."""
        made = cls()
        if not isinstance(data, dict):
            raise ValueError("the state is damaged: not an object")
        for name in REQUIRED:
            if name not in data:
                raise ValueError(f"the state is damaged: it has no {name}")
        for name in cls.__slots__:
            if name in data:
                if not _fits(data[name], getattr(made, name), name):
                    raise ValueError(f"the state is damaged: {name}")
                setattr(made, name, data[name])
        return made

    @classmethod
    def salvaged(cls, data: "Any") -> "Self":
        """What there is in damaged data, for the container to be removed by."""
        made = cls()
        for name in cls.__slots__ if isinstance(data, dict) else ():
            if type(data.get(name)) is type(getattr(made, name)) and _in_range(name, data[name]):
                setattr(made, name, data[name])
        made.cgroups = {k: v for k, v in made.cgroups.items() if isinstance(v, str)}
        made.intel_rdt = [path for path in made.intel_rdt if isinstance(path, str)]
        return made

    def data(self) -> "dict[str, Any]":
        """The JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


NUMBERS = {"pid": 1 << 31, "start_time": 1 << 63, "owner": 1 << 32, "root_mount_below": 1 << 31}
"""{field: what its numbers are less than}: the system calls that take them refuse larger ones (OverflowError)."""


def _in_range(name: str, value: "Any") -> bool:
    return name not in NUMBERS or 0 <= value < NUMBERS[name]


def _fits(value: "Any", default: "Any", name: str) -> bool:
    """Whether ``value`` is what the field called ``name`` has: the type of its ``default``, a number in range, and
    strings in lists and objects (the config is checked as one)."""
    if type(value) is not type(default) or not _in_range(name, value):
        return False
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return name == "config" or all(isinstance(part, str) for part in inner)


class Store:
    """The directory of one container, its lock, and what was last read of its ``state``."""

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        self.id = container_id
        self.directory = f"{root.rstrip('/')}/{container_id}"
        self.state = State()
        self.lock = -1
        self._loaded: bytes | None = None  # the text that ``state`` is, until it is read again

    @property
    def root(self) -> str:
        """The directory of all states."""
        return self.directory.rpartition("/")[0]

    @property
    def socket(self) -> str:
        """Path on which init waits for `start`; it exists as long as the container is created, not started."""
        return f"{self.directory}/{SOCKET}"

    @classmethod
    def load(cls, root: str, container_id: str) -> "Self":
        """An existing container; NoSuchContainer, or PyruncError when its state can't be read."""
        store = cls(root, container_id)
        store._loaded = store.reload()
        return store

    def reload(self) -> bytes:
        """Reads state.json again; returns its text."""
        path = f"{self.directory}/{FILE}"
        try:
            text = read(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise NoSuchContainer(self.id) from None
            raise unusable(path, error) from None
        known, self._loaded = self._loaded, None
        if text == known:  # mostly: a command loads the container, and reads again when it has the lock
            return text
        try:
            self.state = State.of(loads(text))
        except ValueError as error:
            why = str(error)
            raise DamagedState(f"{path}: {why if 'damaged' in why else f'the state is damaged: {why}'}") from None
        return text

    def salvage(self) -> None:
        """Reads what can be read of a damaged state."""
        try:
            self.state = State.salvaged(loads(read(f"{self.directory}/{FILE}")))
        except ValueError:
            self.state = State()
        except OSError as error:
            raise PyruncError(f"{self.directory}/{FILE}: {(error.strerror or '').lower()}") from None

    def save(self) -> None:
        """Writes ``state``. The caller holds the lock."""
        try:
            write_whole(self.lock, FILE, dumps(self.state.data()).encode())
        except OSError as error:
            raise PyruncError(f"{self.directory}/{FILE}: {(error.strerror or '').lower()}") from None

    def make(self) -> None:
        """Makes and locks the directory of a new container."""
        try:
            posix.mkdir(self.directory, 0o700)
        except FileExistsError:
            raise ContainerExists(self.id) from None
        except OSError as error:
            raise unusable(f"mkdir {self.directory}", error) from None
        self.take_lock()

    def locked(self, busy: "Callable[[], object] | None" = None) -> "Locked":
        """``with store.locked():`` holds the lock, and has read the state anew; ``busy`` as for ``take_lock``."""
        return Locked(self, busy)

    def take_lock(self, busy: "Callable[[], object] | None" = None) -> None:
        """Waits for other commands on this container, then holds it; NoSuchContainer if they removed it. ``busy`` is
        called when there is one to be waited for."""
        try:
            self.lock = posix.open(self.directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchContainer(self.id) from None
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy is not None:
                busy()
            self._wait_for_lock()
        if posix.fstat(self.lock).st_nlink == 0:
            self.release()
            raise NoSuchContainer(self.id)

    def _wait_for_lock(self) -> None:
        """flock(2) has no time limit of its own, and one by a signal would be the whole process's."""
        import time

        end = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    what = f"container {self.id} is busy: another command holds it for {LOCK_TIMEOUT:.0f} s"
                    raise PyruncError(what) from None
            with interrupts.allowed:
                time.sleep(0.005)

    def release(self) -> None:
        """Releases the lock."""
        if self.lock >= 0:
            posix.close(self.lock)
            self.lock = -1

    def is_locked(self) -> bool:
        """Whether a command holds the lock now; its creator does for as long as it lives."""
        try:
            descriptor = posix.open(self.directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            posix.close(descriptor)

    def remove(self) -> None:
        """Removes the directory, state.json last: until then `delete` can be repeated."""
        try:
            names = posix.listdir(self.directory)
        except FileNotFoundError:
            return
        if ROOT_MOUNT in names:
            from pyrunc.resources.root_mount import Root

            Root(self.directory).remove()
            names.remove(ROOT_MOUNT)
        if NOTIFY in names:
            from pyrunc.linux import trees

            trees.remove_at(f"{self.directory}/{NOTIFY}")  # what the container made there
            names.remove(NOTIFY)
        for name in sorted(names, key=lambda name: name == FILE):
            posix.unlink(f"{self.directory}/{name}")
        posix.rmdir(self.directory)
        self.release()


class Locked:
    """The context in which a command holds the container's lock."""

    __slots__ = ("busy", "store")

    def __init__(self, store: Store, busy: "Callable[[], object] | None") -> None:
        self.store, self.busy = store, busy

    def __enter__(self) -> None:
        self.store.take_lock(self.busy)
        try:
            self.store.reload()
        except BaseException:
            self.store.release()
            raise

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        self.store.release()
