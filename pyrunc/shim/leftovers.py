"""Removes what a killed shim has left: processes, cgroups, state, mounts."""

import posix

from pyrunc.linux.files import read
from pyrunc.shim import runtime_options

DELETED = "deleted"
"""A file in the bundle: the DeleteResponse of a container that was removed completely. The launcher prints it when
containerd executes `delete` after the shim's regular end, and then starts no interpreter
(nsenter/launcher/deleted.c)."""


def remove(container_id: str, bundle: str, namespace: str) -> int:
    """Removes everything of the container. Returns its init's pid, or 0. Usually nothing is left, because containerd
    1.6 calls this after the end of every shim. Raises PyruncError if something cannot be removed."""
    root = runtime_options.state_root(runtime_options.remembered(bundle), namespace)
    pid = 0
    try:
        posix.stat(f"{root}/{container_id}")
    except FileNotFoundError:
        pass
    else:
        from pyrunc.api import Container
        from pyrunc.errors import PyruncError

        try:
            pid = int(Container.load(container_id, root).init_pid)
        except PyruncError:
            pass  # incomplete: it is removed nevertheless
        Container.remove(container_id, root)
    if mounted(f"{bundle}/rootfs"):
        from pyrunc.shim import rootfs

        rootfs.unmount_all(f"{bundle}/rootfs")
    return pid


def remember(bundle: str, answer: bytes) -> None:
    """Writes the DeleteResponse of a container that was removed completely. Without it `delete` checks by itself."""
    from pyrunc.linux.output import replace

    try:
        replace(f"{bundle}/{DELETED}", answer, 0o600)
    except OSError:
        pass


def forget(bundle: str) -> None:
    """Removes the file of an earlier container from a bundle that is reused."""
    try:
        posix.unlink(f"{bundle}/{DELETED}")
    except OSError:
        pass


def mounted(path: str) -> bool:
    """Whether something is mounted at ``path``."""
    wanted = path.encode("utf-8", "surrogateescape")
    for character in b"\\ \t\n":  # escaped as the kernel does
        wanted = wanted.replace(bytes((character,)), b"\\%03o" % character)
    return any(line.split(b" ", 5)[4] == wanted for line in read("/proc/self/mountinfo").split(b"\n") if line)
