"""Sends signals: to init by pidfd, or to every process in the container's cgroups and pid namespace."""

import posix

from pyrunc import interrupts
from pyrunc.container.processes import members, reap
from pyrunc.errors import NotRunning, PyruncError
from pyrunc.linux import pidfd
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.container.record import Record

LIMIT, ROUND = 10.0, 0.5
"""Seconds in which all processes have to end (as runc), and seconds of one round of waiting."""
AT_ONCE = 256
"""The number of pidfds that are open at a time, below this process's limit on descriptors."""
SHOWN = 10
"""The number of pids that an error lists."""


def kill(container: "Record", number: int, everyone: bool) -> None:
    """Sends signal ``number`` to init, or to every process. NotRunning if init has ended; engines match its message,
    ``container not running``.

    SIGKILL is for the whole container. If the container does not have its own pid namespace, the other processes would
    survive init. They are therefore killed as well, even if init has already ended (as in runc).
    """
    if everyone or (number == SIGKILL and container.shares_pids):
        if not everyone and not container.alive and not members(container):
            raise NotRunning
        kill_everyone(container, number)
        return
    container.require("kill")
    pidfd.send(container.state.pid, container.state.start_time, number)
    if number == SIGKILL and container.state.cgroups:
        freezer = container.freezer
        if freezer.frozen:
            freezer.thaw()  # SIGKILL does not end a process that the v1 freezer holds (freezer-subsystem.txt)


def kill_everyone(container: "Record", number: int, until: float = 0.0) -> None:
    """Signals every process, also if init has ended, and also processes that have left the container's cgroups.

    With SIGKILL repeats until no process is left. At ``until`` (seconds of the monotonic clock), or after LIMIT
    seconds, PyruncError names the processes that have not ended.
    """
    if number != SIGKILL:
        signal_all(container, number)
        return
    # Before anything is read that the container controls, because that must not be able to prevent the kill.
    _signal_init(container)
    from time import monotonic

    end = until or monotonic() + LIMIT
    while True:
        found = signal_all(container, SIGKILL)
        if container.freezer.frozen:
            container.freezer.thaw()
        reap(container)
        if not found:
            return
        if container.state.cgroups:
            container.cgroups.kill_all(SIGKILL, end)
        # In rounds: between them, exec'ed child processes of this process are reaped. Init waits for them
        # (pid_namespaces(7)).
        await_ends(found, min(ROUND, end - monotonic()))
        reap(container)
        if monotonic() > end:
            left = sorted(members(container))
            if not left:
                return
            more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            shown = ", ".join(map(str, left[:SHOWN]))
            raise PyruncError(f"container {container.id}: processes stay: {shown}{more}")


def signal_all(container: "Record", number: int) -> "set[int]":
    """Signals the container's processes; returns their pids.

    Lists the members twice. A process that is in both lists with the same start time was a member all the time, and has
    not just reused the pid of a member that ended. It is then signalled by pidfd. The two lists serve all processes:
    a second list for every few of them would make the cost quadratic."""
    before = members(container)
    if not before:
        return set()
    found = members(container)
    for pid, started in found.items():
        try:
            if before.get(pid) == started:
                pidfd.send(pid, started, number)
        except (NotRunning, PermissionError):
            continue
    return set(found)


def await_ends(pids: "Iterable[int]", seconds: float) -> None:
    """Waits until all processes have ended, or ``seconds`` have passed."""
    from time import monotonic

    end = monotonic() + seconds
    waiting = sorted(pids)
    while waiting and (left := end - monotonic()) > 0:
        held = _held(waiting[:AT_ONCE])
        del waiting[:AT_ONCE]
        descriptors = set(held.values())
        try:
            while descriptors and (left := end - monotonic()) > 0:
                with interrupts.allowed:
                    ready = pidfd.ready(list(descriptors), left)
                descriptors -= ready
        finally:
            for descriptor in held.values():
                posix.close(descriptor)


def _held(pids: "Sequence[int]") -> "dict[int, int]":
    """Returns {pid: pidfd} of the processes that still exist."""
    held = {}
    for pid in pids:
        descriptor = pidfd.open_now(pid)
        if descriptor >= 0:
            held[pid] = descriptor
    return held


def _signal_init(container: "Record") -> None:
    try:
        pidfd.send(container.state.pid, container.state.start_time, SIGKILL)
    except NotRunning:
        pass
