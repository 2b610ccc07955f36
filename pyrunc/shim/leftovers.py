"""What a shim that was killed has left: processes, cgroups, state, mounts."""

import posix

from pyrunc.linux.files import read
from pyrunc.shim import runtime_options

DELETED = "deleted"
"""In the bundle: the DeleteResponse of a container of which nothing is left. The launcher prints it when containerd
executes `delete` after the shim's orderly end, and starts no interpreter for that (nsenter/launcher/deleted.c)."""


def remove(container_id: str, bundle: str, namespace: str) -> int:
    """Removes whatever there is of the container; the pid that its init had, or 0. Mostly nothing is left: containerd
    asks after every shim's end (1.6). PyruncError when something can't be removed."""
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
            pass  # half made: it is removed all the same
        Container.remove(container_id, root)
    if mounted(f"{bundle}/rootfs"):
        from pyrunc.shim import rootfs

        rootfs.unmount_all(f"{bundle}/rootfs")
    return pid


def remember(bundle: str, answer: bytes) -> None:
    """Writes the DeleteResponse of a container that was deleted whole. Without it `delete` looks for itself."""
    from pyrunc.linux.output import replace

    try:
        replace(f"{bundle}/{DELETED}", answer, 0o600)
    except OSError:
        pass


def forget(bundle: str) -> None:
    """Removes what an earlier container left in a bundle that is used again."""
    try:
        posix.unlink(f"{bundle}/{DELETED}")
    except OSError:
        pass


def mounted(path: str) -> bool:
    """Whether something is mounted at ``path``."""
    wanted = path.encode("utf-8", "surrogateescape")
    for character in b"\\ \t\n":  # as the kernel writes them
        wanted = wanted.replace(bytes((character,)), b"\\%03o" % character)
    return any(line.split(b" ", 5)[4] == wanted for line in read("/proc/self/mountinfo").split(b"\n") if line)
