"""The cgroups of a container that is there: who is in them, and their end. ``manager.py`` makes and limits them."""

import errno
import posix

from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.host import UNIFIED, discover, paths_of
from pyrunc.container.process import read, write
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroup.host import Host

CHILDLESS = 2
REMOVE_TIMEOUT = 5.0
"""Seconds. The kernel gives EBUSY for as long as the last process of a cgroup is on its way out."""


class Existing:
    """``dirs`` {hierarchy name: absolute directory}, as ``paths.resolve`` gave them and the state keeps them."""

    __slots__ = ("_host", "dirs", "fell_back", "put_back")

    def __init__(self, dirs: "dict[str, str]") -> None:
        self.dirs = dirs
        self.fell_back = False
        self._host: Host | None = None
        self.put_back: set[str] = set()  # hierarchies that somebody moved the process out of

    def place(self, pid: int, fallback: int = 0) -> None:
        """Moves ``pid`` into every cgroup. ``fallback`` (exec): when v2 answers EBUSY, for the container has handed
        controllers on to cgroups below its own, the cgroup of that process (init) is joined instead."""
        for directory in self.dirs.values():
            try:
                write(f"{directory}/cgroup.procs", str(pid))
            except OSError as error:
                if error.errno == errno.EBUSY and fallback:
                    self._fall_back(pid, fallback)
                    continue
                raise PyruncError(not_ours(f"{directory}/cgroup.procs", error)) from None

    def _fall_back(self, pid: int, fallback: int) -> None:
        unified = discover().unified
        assert unified is not None
        self.fell_back = True
        write(f"{unified.mountpoint}{paths_of(fallback)[UNIFIED]}/cgroup.procs", str(pid))

    def read_back(self, pid: int) -> "dict[str, tuple[str, str]]":
        """{hierarchy: (found, expected)} of those where ``pid`` is neither in its cgroup nor below it."""
        try:
            found = paths_of(pid)
        except OSError:
            return {}
        moved = {}
        if self._host is None:
            self._host = discover()  # it is read back several times in a row, and nobody mounts a hierarchy meanwhile
        for hierarchy in self._host.hierarchies:
            directory = self.dirs.get(hierarchy.name)
            if directory is None or not directory.startswith(f"{hierarchy.mountpoint}/"):
                continue
            expected = hierarchy.root.rstrip("/") + directory[len(hierarchy.mountpoint) :]
            path = found.get(hierarchy.name, "")
            # Below: a program may make cgroups of its own there.
            if path != expected and not path.startswith(f"{expected}/"):
                moved[hierarchy.name] = (path, expected)
        return moved

    def pids(self) -> "set[int]":
        """Pids of all processes in them and below, the union over all hierarchies."""
        found: set[int] = set()
        for directory in self.dirs.values():
            for path in tree(directory):
                try:
                    found.update(map(int, read(f"{path}/cgroup.procs").split()))
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                        raise
        found.discard(0)  # processes of a pid namespace that we can't see
        return found

    def kill_all(self, number: int) -> None:
        """Kills everyone until nobody is left (SIGKILL), or signals all once."""
        import time

        from pyrunc.container.kill import send_to

        freezer = Freezer(self.dirs)
        if number == 9 and UNIFIED in self.dirs:
            try:
                write(f"{self.dirs[UNIFIED]}/cgroup.kill", "1")  # Linux 5.14: forks can't outrun it
            except OSError:
                pass
        end = time.monotonic() + REMOVE_TIMEOUT
        while pids := self.pids():
            for pid in pids:
                send_to(pid, number)
            if number != 9 or time.monotonic() > end:
                return
            if freezer.frozen:
                freezer.thaw()
            time.sleep(0.001)

    def remove_empty(self) -> bool:
        """Removes those that have neither processes nor cgroups below, as is usual at the end; whether all are gone."""
        gone = True
        for directory in self.dirs.values():
            try:
                _rmdir(directory)
            except OSError:
                gone = False
        return gone

    def remove(self) -> None:
        """Removes them and what was made below; PyruncError when one stays busy. What is gone already is fine."""
        import time

        end = time.monotonic() + REMOVE_TIMEOUT
        for directory in self.dirs.values():
            while True:
                try:
                    for path in reversed(list(tree(directory))):
                        _rmdir(path)
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > end:
                        raise PyruncError(f"remove cgroup {directory}: {(error.strerror or '').lower()}") from None
                time.sleep(0.002)


def _rmdir(path: str) -> None:
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        pass


def tree(directory: str) -> "Iterator[str]":
    """``directory`` and every cgroup below, parents first."""
    try:
        # A cgroup's links are its children's, and two (kernfs): with none it need not be read, and most have none.
        entries = list(posix.scandir(directory)) if posix.stat(directory).st_nlink != CHILDLESS else []
    except OSError:
        return
    yield directory
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from tree(entry.path)


def not_ours(path: str, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{path}: not ours to write ({(error.strerror or '').lower()}): have it delegated "
            "(systemd's Delegate=, or chown) or use --cgroup-manager=disabled"
        )
    return f"{path}: {(error.strerror or '').lower()}"
