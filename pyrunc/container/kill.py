"""Signals: to init by pidfd, or to everybody in the container's cgroups and pid namespace."""

import posix

from pyrunc.container import process
from pyrunc.container.members import members, reap
from pyrunc.errors import NotRunning, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.container import Container

SIGKILL = 9
ROUNDS = 100


def kill(container: "Container", number: int, everyone: bool) -> None:
    """Raises NotRunning, ``container not running``, the words engines look for, when init has ended."""
    data = container._state.data
    if everyone:
        kill_everyone(container, number)
        return
    if container.status == "stopped":
        raise NotRunning
    process.send(data["pid"], data["start_time"], number)
    if number == SIGKILL and data["cgroups"]:
        freezer = container.freezer
        if freezer.frozen:
            freezer.thaw()  # a v1 freezer holds even SIGKILL back (freezer-subsystem.txt)


def kill_everyone(container: "Container", number: int) -> None:
    """Every process, also of a container whose init is gone, also one that escaped its cgroups.

    With SIGKILL, until nobody is left; PyruncError names those who stay.
    """
    data = container._state.data
    found = members(container)
    if number != SIGKILL:
        for pid in found:
            send_to(pid, number)
        return
    cgroups = container.cgroups if data["cgroups"] else None
    for _ in range(ROUNDS):
        for pid in found:
            send_to(pid, SIGKILL)
        if container.freezer.frozen:
            container.freezer.thaw()
        for pid in found - {data["pid"]}:
            process.await_end(pid)
        reap(container)
        if cgroups is not None:
            cgroups.kill_all(SIGKILL)
        process.await_end(data["pid"] if data["pid"] in found else 0)
        found = members(container)
        if not found:
            return
    raise PyruncError(f"container {container.id}: processes stay: {', '.join(map(str, sorted(found)))}")


def send_to(pid: int, number: int) -> None:
    """Sends a signal to ``pid`` as it is now; one that has gone is fine."""
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        process.send_by(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        posix.close(descriptor)
