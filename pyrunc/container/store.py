"""The container's record on disk: ``ROOT/ID/state.json``, which is replaced atomically, and the lock on its directory.

The order of the writes makes a SIGKILL at any moment harmless. The state names the cgroups before the first one is
made, and the pid before the process continues; and it is the last thing that ``delete`` removes.
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
"""The same name as in resources/root_mount.py, which is imported only if the directory exists."""
NOTIFY = "notify"
"""The same name as in resources/notify_socket.py."""
LOCK_TIMEOUT = 10.0
"""Seconds that a command waits for another one on the same container."""
REQUIRED = ("pid", "start_time", "bundle", "cgroups")
"""Fields that every state must have."""
NO_FILE = (errno.ENXIO, errno.EAGAIN, errno.EFBIG, errno.ELOOP)
"""Errors from reading a state.json that is a socket, a pipe, a device or a link to itself: the state is damaged."""
ID_LIMIT = 255  # NAME_MAX of every filesystem that /run may be


def check_id(container_id: str) -> None:
    """Raises PyruncError unless runc accepts the id: letters, digits and ``_+-.``, but not ``.`` or ``..``."""
    if not container_id:
        raise PyruncError("container id cannot be empty")
    if not is_id(container_id):
        shown = container_id if len(container_id) < 80 else container_id[:77] + "..."
        raise PyruncError(f"invalid container id {shown!r}: up to {ID_LIMIT} letters, digits and any of _+-.")


def is_id(name: str) -> bool:
    """Whether ``name`` can be the id of a container. Other files in the state root (filter_cache.py) have names that
    cannot."""
    known = all(c.isascii() and (c.isalnum() or c in "_+-.") for c in name)
    return known and name not in ("", ".", "..") and len(name) <= ID_LIMIT


def make_root(root: str) -> None:
    """Makes the directory of all states, with mode 0700, and its parents."""
    try:
        make_directories(root, 0o755, 0o700)
    except OSError as error:
        raise unusable(f"state directory {root}: mkdir {error.filename}", error) from None


def unusable(what: str, error: OSError) -> PyruncError:
    """Returns an error with ``what`` and the kernel's answer. For a user without a state directory, it also says how to
    get one."""
    advice = ""
    if error.errno == errno.EACCES and posix.geteuid() != 0 and b"XDG_RUNTIME_DIR" not in posix.environ:
        advice = "; XDG_RUNTIME_DIR is not set: log in (loginctl enable-linger keeps it), or give a directory by --root"
    return PyruncError(f"{what}: {(error.strerror or '').lower()}{advice}")


def ids(root: str) -> "list[str]":
    """Returns every container id below ``root``, sorted."""
    try:
        return sorted(filter(is_id, posix.listdir(root)))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise unusable(root, error) from None


def matching(root: str, pattern: str) -> "list[str]":
    """Returns the ids below ``root`` in which the regular expression matches. PyruncError if it is not valid."""
    import re

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise PyruncError(f"--regex {pattern!r}: {error}") from None
    return [name for name in ids(root) if expression.search(name)]


class State:
    """The fields of state.json. A new instance has the defaults.

    ``pid`` and ``start_time`` (field 22 of /proc/PID/stat) are init's, 0 until it is recorded. ``cgroups`` {hierarchy:
    absolute directory}. ``systemd_unit``: the scope, "" without systemd. ``mount_namespace``: container/processes.py.
    ``config``: the validated config as JSON data. ``intel_rdt``: directories below ``resctrl`` to remove with the
    container. ``root_mount``: the mount point of the root if it is in the host's mount namespace, ``root_mount_below``:
    the id of the mount under it (resources/host_root.py). ``descriptors``: what init's standard descriptors were, for
    CRIU. ``poststop_done``: the hooks have run in a `delete` that failed in another part.
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
        """Returns the state from its JSON object. A field that an older pyrunc did not record gets its default.
        ValueError if a field in REQUIRED is missing or a value has another type: the file is damaged."""
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
        """Returns the valid fields of damaged data, so that the container can be removed."""
        made = cls()
        for name in cls.__slots__ if isinstance(data, dict) else ():
            if type(data.get(name)) is type(getattr(made, name)) and _in_range(name, data[name]):
                setattr(made, name, data[name])
        made.cgroups = {k: v for k, v in made.cgroups.items() if isinstance(v, str)}
        made.intel_rdt = [path for path in made.intel_rdt if isinstance(path, str)]
        return made

    def data(self) -> "dict[str, Any]":
        """Returns the JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


NUMBERS = {"pid": 1 << 31, "start_time": 1 << 63, "owner": 1 << 32, "root_mount_below": 1 << 31}
"""{field: upper bound, excluded}. Python's functions for system calls refuse larger numbers (OverflowError)."""


def _in_range(name: str, value: "Any") -> bool:
    return name not in NUMBERS or 0 <= value < NUMBERS[name]


def _fits(value: "Any", default: "Any", name: str) -> bool:
    """Whether ``value`` is valid for the field ``name``: it has the type of its ``default``, numbers are in range, and
    lists and objects contain strings (except for the config, which is validated separately)."""
    if type(value) is not type(default) or not _in_range(name, value):
        return False
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return name == "config" or all(isinstance(part, str) for part in inner)


class Store:
    """The directory of one container, its lock, and its ``state`` as last read."""

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        self.id = container_id
        self.directory = f"{root.rstrip('/')}/{container_id}"
        self.state = State()
        self.lock = -1
        self._loaded: bytes | None = None  # the text from which ``load`` made ``state``, until the next reload

    @property
    def root(self) -> str:
        """The directory of all states."""
        return self.directory.rpartition("/")[0]

    @property
    def socket(self) -> str:
        """The path of the socket on which init waits for `start`. It exists until the container is started."""
        return f"{self.directory}/{SOCKET}"

    @classmethod
    def load(cls, root: str, container_id: str) -> "Self":
        """Loads an existing container. NoSuchContainer if it does not exist, PyruncError if its state cannot be
        read."""
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
            if error.errno in NO_FILE:
                raise DamagedState(f"{path}: the state is damaged: {(error.strerror or '').lower()}") from None
            raise unusable(path, error) from None
        known, self._loaded = self._loaded, None
        if text == known:  # usually equal: a command loads the container, takes the lock, and reads again
            return text
        try:
            self.state = State.of(loads(text))
        except ValueError as error:
            why = str(error)
            raise DamagedState(f"{path}: {why if 'damaged' in why else f'the state is damaged: {why}'}") from None
        return text

    def salvage(self) -> None:
        """Reads the valid fields of a damaged state."""
        try:
            self.state = State.salvaged(loads(read(f"{self.directory}/{FILE}")))
        except ValueError:
            self.state = State()
        except OSError as error:
            if error.errno not in NO_FILE:
                raise PyruncError(f"{self.directory}/{FILE}: {(error.strerror or '').lower()}") from None
            self.state = State()

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
        """Returns a context: ``with store.locked():`` takes the lock and reads the state again. ``busy``: as for
        ``take_lock``."""
        return Locked(self, busy)

    def take_lock(self, busy: "Callable[[], object] | None" = None) -> None:
        """Takes the lock, and waits for it if another command holds it; calls ``busy`` before such a wait.
        NoSuchContainer if another command has removed the container."""
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
        """Polls for the lock until LOCK_TIMEOUT. flock(2) has no timeout, and a signal to interrupt it would affect the
        whole process."""
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
        """Whether a command holds the lock. The command that creates the container holds it until it ends."""
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
        """Removes the directory. state.json goes last, so that `delete` can be repeated until then."""
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

            trees.remove_at(f"{self.directory}/{NOTIFY}")  # the container can make files there
            names.remove(NOTIFY)
        for name in sorted(names, key=lambda name: name == FILE):
            posix.unlink(f"{self.directory}/{name}")
        posix.rmdir(self.directory)
        self.release()


class Locked:
    """A context in which a command holds the container's lock."""

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
