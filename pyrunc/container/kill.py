"""Signals: to init by pidfd, or to every process in the container's cgroups and pid namespace."""

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
"""Seconds that all processes have to end (as runc), and that one round of it takes."""
AT_ONCE = 256
"""Processes held at once: fewer than the descriptors that we may have."""
SHOWN = 10
"""Pids in an error."""


def kill(container: "Record", number: int, everyone: bool) -> None:
    """Raises NotRunning, ``container not running``, the words engines look for, when init has ended.

    SIGKILL is for the whole container. Where its pid namespace is not its own, init's end leaves the other processes
    running: they are killed with it, and also when init has gone (as with runc).
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
            freezer.thaw()  # a v1 freezer holds even SIGKILL back (freezer-subsystem.txt)


def kill_everyone(container: "Record", number: int, until: float = 0.0) -> None:
    """Every process, also of a container whose init is gone, also one that escaped its cgroups.

    With SIGKILL it repeats until no process is left; PyruncError, at ``until`` (seconds of the monotonic clock) or
    after LIMIT seconds, names those that do not end.
    """
    if number != SIGKILL:
        signal_all(container, number)
        return
    # First of all, and whatever is found: a container must not be able to live by what it shows us.
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
        # In rounds: exec'ed children of ours, for which init waits (pid_namespaces(7)), are reaped in between.
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
    """Signals the container's processes; returns their pids. It looks twice: who is found again, and has the start time
    that was read before, has been a member all the while, and not a process that got the pid of one that ended. It is
    then signalled by a pidfd. Two looks for however many there are: one for each few of them takes their square."""
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
    """Waits until all of them have ended, or ``seconds`` have passed."""
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
    """{pid: pidfd} of those processes that still exist."""
    held = {}
    for pid in pids:
        try:
            held[pid] = posix.pidfd_open(pid)
        except ProcessLookupError:
            continue
    return held


def _signal_init(container: "Record") -> None:
    try:
        pidfd.send(container.state.pid, container.state.start_time, SIGKILL)
    except NotRunning:
        pass
