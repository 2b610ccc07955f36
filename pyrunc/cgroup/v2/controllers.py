"""Which controllers a cgroup has: handed down by those above (cgroup-v2.rst, "Controlling Controllers")."""

from pyrunc.linux.files import read, write

KERNEL = ("cgroup", "irq")
"""Prefixes of files that every cgroup has, whatever controllers it has."""


def hand_down(directory: str) -> None:
    """Has every cgroup above ``directory``, from the top, hand the controllers on that it has. What is refused (by a
    cgroup with processes of its own, or one that is not ours) is left: a limit that needs it says so (``missing``). A
    cgroup below a threaded one is invalid as it is made, and becomes threaded as well."""
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
    """Why the cgroup has no files of ``controller``; "" when that is not the reason, or it is no cgroup of v2."""
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
    """None where there is no such file: above the mount, on v1."""
    try:
        return read(f"{directory}/{file}").decode().split()
    except OSError:
        return None
