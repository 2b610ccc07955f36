"""Finds the processes of a container, also those that have left its cgroups."""

import posix

from pyrunc.linux import procfs, wait_status
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.container.record import Record
    from pyrunc.spec.types import Config

NS_GET_MNTNS_ID = 0x8008B705
"""linux/nsfs.h, Linux 6.10: returns a number that is not reused until the next boot, unlike the namespace's inode."""


def members(container: "Record") -> "dict[int, int]":
    """Returns {pid: start time} of every process in a cgroup of the container, in init's pid namespace, or in its mount
    namespace, and of all their descendants. So a process that has left all the cgroups is found nevertheless."""
    found = set(container.cgroups.pids()) if container.state.cgroups else set()
    if container.alive:
        found.add(container.state.pid)
        if _recorded_pid_namespace(container.state.config):
            found |= _of_pid_namespace(container.state.pid)
    if container.state.mount_namespace:
        found |= _of_mount_namespace(container.state.mount_namespace)
    found |= procfs.descendants(*found)
    times = {pid: procfs.started(pid) for pid in found - {posix.getpid()}}
    return {pid: started for pid, started in times.items() if started is not None}


def reap(container: "Record") -> None:
    """Reaps child processes of this process (from `exec`) that have ended in the container's pid namespace. Init cannot
    end before: the kernel makes it wait for all processes of the namespace (pid_namespaces(7))."""
    if not container.reaps:
        return
    for executed in container.executed:
        executed.poll()
    wanted = _link(str(container.state.pid)) if container.state.pid else ""
    if not wanted or wanted == _link("self"):
        return
    for pid in procfs.children(posix.getpid()):
        letter, started = procfs.stat(pid)
        if letter == "Z" and pid != container.state.pid and _link(str(pid)) == wanted:
            wait_status.reap(pid, started)


def mount_namespace(spec: "Config", pid: int) -> str:
    """Returns "BOOT ID", which identifies the mount namespace of init ``pid``, so that the container's processes can be
    found after init has ended.

    Returns "" if the container has its own pid namespace (its processes end with init), if it does not have its own
    mount namespace, and if the kernel does not number mount namespaces."""
    if _own("pid", spec) or not _own("mount", spec):
        return ""
    number = _number(str(pid))
    return f"{_boot()} {number}" if number else ""


def _own(kind: str, spec: "Config") -> bool:
    return any(namespace.type == kind and not namespace.path for namespace in spec.linux.namespaces)


def _recorded_pid_namespace(config: "dict[str, Any]") -> bool:
    """The same as ``_own("pid", ...)`` for the stored config. True if the config is damaged, so that the namespace is
    searched."""
    try:
        spaces = config["linux"]["namespaces"]
        return any(space["type"] == "pid" and not space.get("path") for space in spaces)
    except (LookupError, TypeError, AttributeError):
        return True


def _boot() -> str:
    return read("/proc/sys/kernel/random/boot_id").decode("utf-8", "replace").strip()


def _number(pid: str) -> int:
    import fcntl

    try:
        descriptor = posix.open(f"/proc/{pid}/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, NS_GET_MNTNS_ID, bytes(8)), __import__("sys").byteorder)
    except OSError:
        return 0
    finally:
        posix.close(descriptor)


def _processes() -> "Iterator[str]":
    return (name for name in posix.listdir("/proc") if name.isdigit())


def _of_mount_namespace(identity: str) -> "set[int]":
    boot, _, number = identity.partition(" ")
    if boot != _boot():
        return set()
    return {int(pid) for pid in _processes() if _number(pid) == int(number)}


def _of_pid_namespace(init: int) -> "set[int]":
    """Returns the processes of init's pid namespace, as far as they are visible to this process."""
    wanted = _link(str(init))
    if not wanted or wanted == _link("self"):
        return set()
    return {int(pid) for pid in _processes() if _link(pid) == wanted}


def _link(pid: str) -> str:
    try:
        return posix.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
