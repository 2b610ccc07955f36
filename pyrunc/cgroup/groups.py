"""The cgroups of a container that is there: who is in them, and their end. ``manager.py`` makes and limits them."""

import errno
import posix

from pyrunc import interrupts
from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.host import UNIFIED, discover, paths_of
from pyrunc.errors import NotRunning, PyruncError
from pyrunc.linux.files import write
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cgroup.host import Host

KILL_TIMEOUT = 10.0
"""Seconds, as runc."""
REMOVE_TIMEOUT = 5.0
"""Seconds, for all hierarchies together. The kernel gives EBUSY while the last process of one is on its way out."""
NOT_TO_BE_JOINED = (errno.EBUSY, errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)
"""Answers of a cgroup that has controllers for cgroups below it, has gone, or is threaded (cgroup-v2.rst)."""


class Groups:
    """``dirs`` {hierarchy name: absolute directory}, as ``paths.resolve`` gave them and the state keeps them."""

    __slots__ = ("_host", "dirs", "fell_back", "moved_back")

    def __init__(self, dirs: "dict[str, str]") -> None:
        self.dirs = dirs
        self.fell_back = False
        self._host: Host | None = None
        self.moved_back: set[str] = set()  # hierarchies that something moved the process out of

    def place(self, pid: int, fallback: int = 0, attach: "Callable[[str], object] | None" = None) -> None:
        """Moves ``pid`` into every cgroup. ``fallback`` (exec): where the container has handed controllers on to
        cgroups below its own, has removed it, or has made it threaded, the cgroup of that process (init) is joined.
        ``attach`` moves ``pid`` into the v2 cgroup where we may not: a user's login session and the user's units have
        only root's cgroups in common (cgroup-v2.rst, "Delegation Containment")."""
        for name, directory in self.dirs.items():
            try:
                write(f"{directory}/cgroup.procs", str(pid))
            except OSError as error:
                if fallback and error.errno in NOT_TO_BE_JOINED and self._fall_back(name, directory, pid, fallback):
                    continue
                if attach is not None and name == UNIFIED and error.errno in (errno.EACCES, errno.EPERM):
                    self._attach(directory, fallback, attach)
                    continue
                raise PyruncError(not_ours(f"{directory}/cgroup.procs", error)) from None

    def _attach(self, directory: str, other: int, attach: "Callable[[str], object]") -> None:
        """By ``attach``, into the directory, or into the cgroup of ``other`` below it. PyruncError: into neither."""
        try:
            attach(directory)
        except PyruncError:
            unified = discover().unified
            inner = unified.directory(paths_of(other).get(UNIFIED, "/")) if unified is not None and other else ""
            if not inner.startswith(f"{directory}/"):
                raise
            attach(inner)
            self.fell_back = True

    def _fall_back(self, name: str, directory: str, pid: int, other: int) -> bool:
        """Whether ``pid`` is now where ``other`` is, in that hierarchy. A process enters a threaded cgroup through the
        domain above it (cgroup-v2.rst, "Threads")."""
        hierarchy = next((h for h in discover().hierarchies if h.name == name), None)
        if hierarchy is None:
            return False
        place = hierarchy.directory(paths_of(other).get(name, "/"))
        while place != hierarchy.mountpoint:
            try:
                write(f"{place}/cgroup.procs", str(pid))
                self.fell_back = True
                return True
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    return False
            place = place.rpartition("/")[0]
        return False

    def host(self) -> "Host":
        """What is mounted: read once, for it is asked several times in a row, in which no hierarchy is mounted."""
        if self._host is None:
            self._host = discover()
        return self._host

    def read_back(self, pid: int) -> "dict[str, tuple[str, str]]":
        """{hierarchy: (found, expected)} of those where ``pid`` is neither in its cgroup nor below it."""
        try:
            found = paths_of(pid)
        except OSError:
            return {}
        moved = {}
        for hierarchy in self.host().hierarchies:
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
        from pyrunc.cgroup.tree import read_at, visit

        found: set[int] = set()

        def look(directory: int, _: object) -> None:
            try:
                found.update(map(int, read_at(directory, "cgroup.procs").split()))
            except OSError as error:
                # It has gone, or is threaded: then its processes are those of the domain above.
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    raise

        for directory in self.dirs.values():
            visit(directory, look)
        found.discard(0)  # processes of a pid namespace that we can't see
        return found

    def kill_all(self, number: int, until: float = 0.0) -> None:
        """Kills every process until none is left (SIGKILL), or signals each once. It gives up at ``until`` (seconds of
        the monotonic clock), or after KILL_TIMEOUT: then the cgroup can't be removed, and that error says so."""
        from pyrunc.linux.pidfd import await_end

        if number == SIGKILL and UNIFIED in self.dirs:
            try:
                write(f"{self.dirs[UNIFIED]}/cgroup.kill", "1")  # Linux 5.14: forks can't outrun it
            except OSError:
                pass
        from time import monotonic

        end = until or monotonic() + KILL_TIMEOUT
        while pids := self._signal(number):
            if number != SIGKILL:
                return
            self._thaw()
            if monotonic() > end:
                return
            with interrupts.allowed:
                await_end(min(pids), 0.05)

    def _signal(self, number: int) -> "set[int]":
        """Signals every process; returns their pids. It looks twice, as ``container/kill.py`` does, so that the signal
        never reaches a process that has got the pid of one that ended."""
        from pyrunc.linux import pidfd, procfs

        before = {pid: procfs.stat(pid)[1] for pid in self.pids()}
        if not before:
            return set()
        found = self.pids()
        for pid in found & before.keys():
            try:
                pidfd.send(pid, before[pid], number)
            except (NotRunning, OSError):
                continue
        return found

    def _thaw(self) -> None:
        """Thaws v1's freezer and every one below: a container may make and freeze some of its own, and a frozen process
        does not even end by SIGKILL (freezer-subsystem.rst). v2's frozen ones do."""
        from pyrunc.cgroup.tree import visit, write_at

        def thaw(directory: int, _: object) -> None:
            try:
                write_at(directory, "freezer.state", "THAWED")
            except OSError:
                pass

        freezer = Freezer(self.dirs)
        if not freezer.v2:
            visit(freezer.directory, thaw)

    def remove_empty(self) -> bool:
        """Removes those that have neither processes nor cgroups below, as is usual at the end; whether all are gone."""
        gone = True
        for directory in self.dirs.values():
            try:
                _rmdir(directory)
            except OSError:
                gone = False
        return gone

    def remove_unused(self) -> bool:
        """Removes, with those below, what has no processes; whether all are gone. It waits for nothing."""
        return not [refused for directory in self.dirs.values() if (refused := _remove(directory)) is not None]

    def remove(self, until: float = 0.0) -> None:
        """Removes them and what was made below; what is gone already is fine. PyruncError names those that stay busy at
        ``until`` (seconds of the monotonic clock), or after REMOVE_TIMEOUT; the others are removed all the same."""
        from time import monotonic, sleep

        end = until or monotonic() + REMOVE_TIMEOUT
        failures: dict[str, list[str]] = {}
        for directory in self.dirs.values():
            while (error := _remove(directory)) is not None:
                if error.errno != errno.EBUSY or monotonic() > end:
                    failures.setdefault((error.strerror or "").lower(), []).append(directory)
                    break
                with interrupts.allowed:
                    sleep(0.002)
        if failures:
            told = (f"remove cgroup {', '.join(directories)}: {why}" for why, directories in failures.items())
            raise PyruncError("; ".join(told))


def _remove(directory: str) -> "OSError | None":
    """Removes all that can be removed; returns the first refusal."""
    from pyrunc.cgroup.tree import visit

    refused: list[OSError] = []

    def removed(above: int, name: str) -> bool:
        """Without a look into it first: most have no cgroups below."""
        try:
            posix.rmdir(name, dir_fd=above)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    def remove(above: int, name: str) -> None:
        try:
            posix.rmdir(name, dir_fd=above)
        except FileNotFoundError:
            pass
        except OSError as error:
            refused.append(error)

    try:
        visit(directory, lambda *_: None, remove, removed)
        _rmdir(directory)
    except OSError as error:
        refused.append(error)
    return refused[0] if refused else None


def _rmdir(path: str) -> None:
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        pass


def not_ours(path: str, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{path}: not ours to write ({(error.strerror or '').lower()}): have it delegated "
            "(systemd's Delegate=, or chown) or use --cgroup-manager=disabled"
        )
    return f"{path}: {(error.strerror or '').lower()}"
