"""The controllers of a cgroup, which its ancestors enable for it (cgroup-v2.rst, "Controlling Controllers")."""

from pyrunc.linux.files import read, write

KERNEL = ("cgroup", "irq")
"""Prefixes of the files that every cgroup has, regardless of its controllers."""


def hand_down(directory: str) -> None:
    """Enables all available controllers in the ``cgroup.subtree_control`` of every cgroup above ``directory``, from the
    top down.

    Errors are ignored (a cgroup may have processes, or belong to another user): if a limit needs that controller,
    setting the limit fails, and ``missing`` says why. If ``directory`` is below a threaded cgroup, it is invalid when
    it is made; it is then made threaded as well."""
    above: list[str] = []
    path = directory.rpartition("/")[0]
    while (have := _words(path, "cgroup.controllers")) is not None:
        above.append(path)
        path = path.rpartition("/")[0]
    for path in reversed(above):
        have, on = _words(path, "cgroup.controllers"), _words(path, "cgroup.subtree_control")
        for controller in sorted(set(have or ()) - set(on or ())):
            try:
                write(f"{path}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                continue
    if _words(directory, "cgroup.type") == ["domain", "invalid"]:
        try:
            write(f"{directory}/cgroup.type", "threaded")
        except OSError:
            pass


def missing(directory: str, controller: str) -> str:
    """Returns why the cgroup does not have the files of ``controller``, "" if it does have the controller or is not a
    v2 cgroup."""
    have = _words(directory, "cgroup.controllers")
    if have is None or controller in have or controller in KERNEL:
        return ""
    kind = " ".join(_words(directory, "cgroup.type") or ())
    path = directory.rpartition("/")[0]
    while (above := _words(path, "cgroup.controllers")) is not None:
        if controller in above:
            if kind in ("threaded", "domain invalid"):
                return f"{directory} is a threaded cgroup, which can't have the controller {controller}"
            return f"the controller {controller} is not delegated to {directory}: {path} does not hand it on"
        path = path.rpartition("/")[0]
    return f"the host has no cgroup controller {controller} on v2"


def _words(directory: str, file: str) -> "list[str] | None":
    """Returns the words in the file. None if the file does not exist: on v1, or above the mount point."""
    try:
        return read(f"{directory}/{file}").decode().split()
    except OSError:
        return None
