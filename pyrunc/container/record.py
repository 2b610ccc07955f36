"""One container: what is recorded of it, and what the kernel says of it now. Every verb works on one of these."""

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
    """``executed``: children of ours that `exec` started in it, to be reaped with it. ``reaps``: false where a program
    reaps its children itself."""

    def __init__(self, root: str, container_id: str) -> None:
        super().__init__(root, container_id)
        self.executed: list[ExecProcess] = []
        self.reaps = True

    def apart(self) -> "Self":
        """The same container once more: the lock that is taken through it is the calling thread's own."""
        apart = type(self)(self.root, self.id)
        apart.state, apart.executed, apart.reaps = self.state, self.executed, self.reaps
        return apart

    @property
    def alive(self) -> bool:
        """Whether init runs."""
        return procfs.alive(self.state.pid, self.state.start_time)

    @property
    def pid(self) -> int:
        """Init's pid, in our pid namespace; 0 when it has ended."""
        return self.state.pid if self.alive else 0

    @property
    def config(self) -> "Config":
        """The config that it was created from, with what ``update`` changed."""
        from pyrunc.spec.load import restore

        try:
            return restore(self.state.config)
        except SpecError as error:
            raise DamagedState(f"{self.directory}/{FILE}: the state is damaged: config.{error}") from None

    @property
    def shares_pids(self) -> bool:
        """Whether its pid namespace is not its own: then init's end is not the end of all its processes."""
        # As JSON: a node of every part of the config would take longer than the signal.
        linux = self.state.config.get("linux")
        spaces = linux.get("namespaces") if isinstance(linux, dict) else None
        return not any(
            isinstance(space, dict) and space.get("type") == "pid" and not space.get("path")
            for space in (spaces if isinstance(spaces, list) else ())
        )

    @property
    def cgroups(self) -> "Cgroups":
        """Its cgroups; empty when they are disabled."""
        from pyrunc.cgroup.manager import Cgroups

        return Cgroups(self.state.cgroups)

    @property
    def freezer(self) -> "Freezer":
        """What pauses it."""
        from pyrunc.cgroup.freezer import Freezer

        return Freezer(self.state.cgroups)

    @property
    def status(self) -> str:
        """One of the states of container/status.py."""
        if not self.state.pid:
            self._try_reload()
        if not self.state.pid:
            # Its creator holds the lock for as long as it lives.
            return CREATING if self.is_locked() else STOPPED
        if not self.alive:
            return STOPPED
        if self.state.cgroups and self.freezer.frozen:
            return PAUSED  # also when it is created: `start` would wait for an init that can't answer
        return CREATED if self._waits_for_start() else RUNNING

    def require(self, command: str) -> str:
        """The status, when ``command`` may be done in it; raises WrongStatus or NotRunning otherwise."""
        status = self.status
        check(command, status, self.id)
        return status

    def _try_reload(self) -> None:
        apart = self.apart()
        try:
            apart.reload()
        except PyruncError:
            return  # what was known of it holds
        self.state = apart.state

    def _waits_for_start(self) -> bool:
        """Whether init listens on its socket, as it does until `start` lets it go. `start` removes the socket's name;
        one that was killed before leaves it, but nothing listens there any more. What a container says of itself, such
        as its arguments (prctl(2), PR_SET_MM_MAP), is not asked."""
        try:
            posix.stat(self.socket)
        except OSError:
            return False
        from pyrunc.container import start_socket

        return start_socket.has_listener(self.directory)

    def as_state(self) -> "dict[str, Any]":
        """The spec's state (runtime.md "State") and the properties that runc adds."""
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
        state["owner"] = ""  # `list` has it; as with runc, whose `state` has the key only
        return state
