"""A container's record: its stored state, combined with what the kernel reports. Every command works on a Record."""

import posix

from pyrunc.container.status import CREATED, CREATING, PAUSED, RUNNING, STOPPED, check
from pyrunc.container.store import FILE, Store
from pyrunc.errors import DamagedState, PyruncError, SpecError
from pyrunc.linux import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from pyrunc.cgroup.freezer import Freezer
    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.exec_process import ExecProcess
    from pyrunc.spec.types import Config


class Record(Store):
    """The record of one container. ``executed``: child processes that `exec` started in it, to be reaped together with
    init. ``reaps``: whether pyrunc reaps child processes; False if the program does it itself."""

    def __init__(self, root: str, container_id: str) -> None:
        super().__init__(root, container_id)
        self.executed: list[ExecProcess] = []
        self.reaps = True

    def apart(self) -> "Self":
        """Returns a copy of the record with its own lock, which belongs to the calling thread."""
        apart = type(self)(self.root, self.id)
        apart.state, apart.executed, apart.reaps = self.state, self.executed, self.reaps
        return apart

    @property
    def alive(self) -> bool:
        """Whether init runs."""
        return procfs.alive(self.state.pid, self.state.start_time)

    @property
    def pid(self) -> int:
        """The pid of init in this process's pid namespace, 0 if init has ended."""
        return self.state.pid if self.alive else 0

    @property
    def config(self) -> "Config":
        """The config that the container was created from, with the changes by ``update``."""
        from pyrunc.spec.load import restore

        try:
            return restore(self.state.config)
        except SpecError as error:
            raise DamagedState(f"{self.directory}/{FILE}: the state is damaged: config.{error}") from None

    @property
    def shares_pids(self) -> bool:
        """Whether the container does not have its own pid namespace. Its processes then do not end with init."""
        # Read from the JSON data: building the model of the whole config would take longer than the signal.
        linux = self.state.config.get("linux")
        spaces = linux.get("namespaces") if isinstance(linux, dict) else None
        return not any(
            isinstance(space, dict) and space.get("type") == "pid" and not space.get("path")
            for space in (spaces if isinstance(spaces, list) else ())
        )

    @property
    def cgroups(self) -> "Cgroups":
        """The container's cgroups; empty if cgroups are disabled."""
        from pyrunc.cgroup.manager import Cgroups

        return Cgroups(self.state.cgroups)

    @property
    def freezer(self) -> "Freezer":
        """The freezer that pauses the container."""
        from pyrunc.cgroup.freezer import Freezer

        return Freezer(self.state.cgroups)

    @property
    def status(self) -> str:
        """One of the states of container/status.py."""
        if not self.state.pid:
            self._try_reload()
        if not self.state.pid:
            # The command that creates the container holds the lock until it ends.
            return CREATING if self.is_locked() else STOPPED
        if not self.alive:
            return STOPPED
        if self.state.cgroups and self.freezer.frozen:
            return PAUSED  # also if not started yet: `start` would wait for an init that cannot answer
        return CREATED if self._waits_for_start() else RUNNING

    def require(self, command: str) -> str:
        """Returns the status. WrongStatus or NotRunning if ``command`` is not allowed in it."""
        status = self.status
        check(command, status, self.id)
        return status

    def _try_reload(self) -> None:
        apart = self.apart()
        try:
            apart.reload()
        except PyruncError:
            return  # keep the state that was read before
        self.state = apart.state

    def _waits_for_start(self) -> bool:
        """Whether init listens on its socket, which it does until `start` lets it execute the program.

        `start` then removes the socket's name. A `start` that was killed before leaves the name, but nothing listens
        there. Data that the container controls, such as its arguments (prctl(2), PR_SET_MM_MAP), is not used."""
        try:
            posix.stat(self.socket)
        except OSError:
            return False
        from pyrunc.container import start_socket

        return start_socket.has_listener(self.directory)

    def as_state(self) -> "dict[str, Any]":
        """Returns the spec's state (runtime.md "State") with the properties that runc adds."""
        status, recorded = self.status, self.state
        state: dict[str, Any] = {
            "ociVersion": recorded.version,
            "id": self.id,
            "pid": 0 if status == STOPPED else recorded.pid,
            "status": status,
            "bundle": recorded.bundle,
            "rootfs": recorded.rootfs,
            "created": recorded.created,
        }
        if recorded.annotations:
            state["annotations"] = recorded.annotations
        state["owner"] = ""  # as in runc: only `list` fills it in
        return state
