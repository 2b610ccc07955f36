"""Signals: to init by pidfd, or to everybody in the container's cgroups and pid namespace."""

import posix

from pyrunc.container import process
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.container import Container

SIGKILL = 9
ROUNDS = 100


def kill(container: "Container", number: int, everyone: bool) -> None:
    """Raises PyruncError ``container not running``, the words engines look for, when init has ended."""
    data = container._state.data
    if everyone:
        kill_everyone(container, number)
        return
    if container.status == "stopped":
        raise PyruncError("container not running")
    process.send(data["pid"], data["start_time"], number)
    if number == SIGKILL and data["cgroups"]:
        cgroups = container.cgroups
        if cgroups.frozen:
            cgroups.thaw()  # a v1 freezer holds even SIGKILL back (freezer-subsystem.txt)


def kill_everyone(container: "Container", number: int) -> None:
    """Every process, also of a container whose init is gone, also one that escaped some of its cgroups."""
    data = container._state.data
    if number != SIGKILL:
        for pid in members(container):
            send_to(pid, number)
        return
    for _ in range(ROUNDS):
        found = members(container)
        for pid in found:
            send_to(pid, SIGKILL)
        if data["cgroups"]:
            container.cgroups.kill_all(SIGKILL)
        if not found:
            return
        for pid in found:
            _await_end(pid)


def members(container: "Container") -> "set[int]":
    """The union over all hierarchies and init's pid namespace."""
    data = container._state.data
    found = set(container.cgroups.pids()) if data["cgroups"] else set()
    if container._alive:
        found.add(data["pid"])
        if any(ns.type == "pid" and not ns.path for ns in container.config.linux.namespaces):
            found |= _of_namespace(data["pid"])
    return found


def _of_namespace(init: int) -> "set[int]":
    """Processes of init's pid namespace, of those that we can see."""
    try:
        wanted = posix.readlink(f"/proc/{init}/ns/pid")
    except OSError:
        return set()
    if wanted == posix.readlink("/proc/self/ns/pid"):
        return set()
    found = set()
    for name in posix.listdir("/proc"):
        if name.isdigit():
            try:
                if posix.readlink(f"/proc/{name}/ns/pid") == wanted:
                    found.add(int(name))
            except OSError:
                continue
    return found


def send_to(pid: int, number: int) -> None:
    """Sends a signal to ``pid`` as it is now; one that has gone is fine."""
    from _signal import pidfd_send_signal

    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        posix.close(descriptor)


def _await_end(pid: int, seconds: float = 2.0) -> None:
    """Waits until ``pid`` has ended; a zombie has."""
    import select

    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    select.select([descriptor], [], [], seconds)
    posix.close(descriptor)
