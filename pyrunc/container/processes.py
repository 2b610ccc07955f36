"""Who runs in a container, also of those who are not in its cgroups any more."""

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
"""linux/nsfs.h, Linux 6.10: a number that no other mount namespace gets until the next boot, unlike its inode's."""


def members(container: "Record") -> "dict[int, int]":
    """{pid: start time} of every process in any hierarchy's cgroup, in init's pid namespace, in its mount namespace,
    and of the descendants of all these: a process that left every one of its cgroups is still in one of the others."""
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
    """Reaps our children that have ended in the container's pid namespace (exec'ed ones): until then its init, which
    the kernel makes wait for all of them, can't end (pid_namespaces(7))."""
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
    """What finds the processes of init ``pid`` when it has gone: "BOOT ID". Empty where its end is theirs, for it has a
    pid namespace; where it has no mount namespace of its own; and on a kernel that does not number them."""
    if _own("pid", spec) or not _own("mount", spec):
        return ""
    number = _number(str(pid))
    return f"{_boot()} {number}" if number else ""


def _own(kind: str, spec: "Config") -> bool:
    return any(namespace.type == kind and not namespace.path for namespace in spec.linux.namespaces)


def _recorded_pid_namespace(config: "dict[str, Any]") -> bool:
    """As ``_own("pid", ...)``, of the stored config, which may be damaged: then it is looked for."""
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
    """Processes of init's pid namespace, of those that we can see."""
    wanted = _link(str(init))
    if not wanted or wanted == _link("self"):
        return set()
    return {int(pid) for pid in _processes() if _link(pid) == wanted}


def _link(pid: str) -> str:
    try:
        return posix.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
