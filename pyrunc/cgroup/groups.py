"""The cgroups of an existing container: their processes, and their removal. ``manager.py`` makes and limits them."""

import errno
import posix

from pyrunc import interrupts
from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.host import UNIFIED, discover, paths_of
from pyrunc.errors import NotRunning, PyruncError
from pyrunc.linux.files import exists, write
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cgroup.host import Host

KILL_TIMEOUT = 10.0
"""Seconds; the same as runc's."""
REMOVE_TIMEOUT = 5.0
"""Seconds, for all hierarchies together. rmdir fails with EBUSY until the last process of a cgroup has exited."""
SCOPE_TIMEOUT = 0.5
"""Seconds until systemd is asked to stop a scope whose last process has ended."""
NOT_TO_BE_JOINED = (errno.EBUSY, errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)
"""Errors of joining a cgroup that enables controllers for cgroups below it, no longer exists, or is threaded
(cgroup-v2.rst)."""


class Groups:
    """A container's cgroups. ``dirs`` {hierarchy name: absolute directory} as from ``paths.resolve`` or the state."""

    __slots__ = ("_host", "dirs", "fell_back", "moved_back")

    def __init__(self, dirs: "dict[str, str]") -> None:
        self.dirs = dirs
        self.fell_back = False
        self._host: Host | None = None
        self.moved_back: set[str] = set()  # hierarchies in which another program moved the process elsewhere

    def place(self, pid: int, fallback: int = 0, attach: "Callable[[str], object] | None" = None) -> None:
        """Moves ``pid`` into every cgroup. PyruncError if that fails.

        ``fallback`` (exec): the pid of init. Its cgroup is joined instead if the container has enabled controllers for
        cgroups below its own, or has removed its cgroup or made it threaded.
        ``attach(directory)`` moves ``pid`` into the v2 cgroup if this process is not permitted to: the first common
        ancestor of a user's login session and the user's units belongs to root (cgroup-v2.rst, "Delegation
        Containment")."""
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
        """Calls ``attach`` with the directory; if that fails, with the cgroup of process ``other`` below it.
        PyruncError if both fail."""
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
        """Moves ``pid`` into the cgroup of process ``other`` in that hierarchy; returns whether that worked. If that
        cgroup is threaded, ``pid`` joins the closest ancestor that takes it (cgroup-v2.rst, "Threads")."""
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
        """Returns the mounted hierarchies. They are read once, because a command asks several times in a row and no
        hierarchy is mounted in between."""
        if self._host is None:
            self._host = discover()
        return self._host

    def read_back(self, pid: int) -> "dict[str, tuple[str, str]]":
        """Returns {hierarchy: (actual path, expected path)} for each hierarchy in which ``pid`` is neither in the
        container's cgroup nor below it."""
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
            # A path below is fine: the program may make cgroups of its own there.
            if path != expected and not path.startswith(f"{expected}/"):
                moved[hierarchy.name] = (path, expected)
        return moved

    def pids(self) -> "set[int]":
        """Returns the pids of all processes in these cgroups and below, as the union over all hierarchies."""
        from pyrunc.cgroup.tree import read_at, visit

        found: set[int] = set()

        def look(directory: int, _: object) -> None:
            try:
                found.update(map(int, read_at(directory, "cgroup.procs").split()))
            except OSError as error:
                # The cgroup no longer exists, or is threaded: then the domain above it lists its processes.
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    raise

        for directory in self.dirs.values():
            visit(directory, look)
        found.discard(0)  # processes that are not visible in this process's pid namespace
        return found

    def kill_all(self, number: int, until: float = 0.0) -> None:
        """With SIGKILL, kills processes until none is left; with another signal, signals each process once.

        Returns without an error at ``until`` (seconds of the monotonic clock), or after KILL_TIMEOUT: the cgroup then
        cannot be removed, and that error is the one to report."""
        from pyrunc.linux.pidfd import await_end

        if number == SIGKILL and UNIFIED in self.dirs:
            try:
                write(f"{self.dirs[UNIFIED]}/cgroup.kill", "1")  # Linux 5.14: also catches concurrent forks
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
        """Signals every process; returns their pids. Lists the pids twice, as ``container/kill.py`` does, so that a
        process outside of the cgroups that reuses a pid is never signalled."""
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
        """Thaws the v1 freezer cgroup and all cgroups below it: a container may make and freeze cgroups of its own, and
        SIGKILL does not end a process that v1 has frozen (freezer-subsystem.rst). On v2 it does."""
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
        """Removes the cgroups that have neither processes nor cgroups below, the usual case after the container has
        ended. Returns whether all are gone."""
        gone = True
        for directory in self.dirs.values():
            try:
                _rmdir(directory)
            except OSError:
                gone = False
        return gone

    def remove_unused(self) -> bool:
        """Removes the cgroups, and those below, that have no processes. Returns whether all are gone. Does not wait."""
        return not [refused for directory in self.dirs.values() if (refused := _remove(directory)) is not None]

    def await_removal(self) -> bool:
        """Waits until systemd has removed the cgroup of a scope, which it does when the last process has ended, shortly
        before it unloads the unit. Returns False after SCOPE_TIMEOUT. A connection to systemd, which is not needed
        then, takes longer than all else in `delete`; so would inotify(7), which also needs cffi."""
        from time import monotonic, sleep

        directory = self.dirs.get("name=systemd") or self.dirs.get(UNIFIED, "/")
        end = monotonic() + SCOPE_TIMEOUT
        while exists(directory):
            if monotonic() > end:
                return False
            with interrupts.allowed:
                sleep(0.001)
        return True

    def remove(self, until: float = 0.0) -> None:
        """Removes the cgroups and all cgroups below. Missing ones are ignored.

        Retries until ``until`` (seconds of the monotonic clock), or for REMOVE_TIMEOUT. PyruncError names the cgroups
        that are still busy then; the others are removed nevertheless."""
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
    """Removes every cgroup below and at ``directory`` that can be removed. Returns the first error, or None."""
    from pyrunc.cgroup.tree import visit

    refused: list[OSError] = []

    def removed(above: int, name: str) -> bool:
        """Removes the cgroup without reading it first, because most have no cgroups below; returns whether it did."""
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
