"""What a container has from outside of itself, which CRIU must be told: mounts, namespaces, standard descriptors."""

import os
from typing import Any

from pyrunc.cgroup.paths import clean
from pyrunc.errors import PyruncError, SpecError
from pyrunc.plan.compile import compile_create
from pyrunc.plan.facts import Facts
from pyrunc.plan.namespaces import PROC_NAMES, Namespaces
from pyrunc.plan.steps import Step
from pyrunc.spec.types import Config

DESCRIPTORS = "descriptors.json"
"""In the image's directory: what the standard descriptors of init were."""
BY_INODE = {"network": ("net", 31100), "pid": ("pid", 31500)}
"""Namespaces that CRIU takes as external ones: its name for them, and since which version."""
DEV_NULL = "/dev/null"


def mounts(steps: list[Step]) -> list[tuple[str, str]]:
    """(destination, source on the host) of every mount whose source lies outside: what the plan attaches."""
    sources = {step.args[2]: str(step.args[0]) for step in steps if step.kind == "open-tree"}
    attached = (step for step in steps if step.kind == "attach")
    return [("/" + clean(str(step.args[1])), sources[step.args[0]]) for step in attached]


def plan(spec: Config, facts: Facts) -> list[Step]:
    """The steps that made, or would make, the container."""
    facts.options.libraries = []
    return compile_create(spec, facts)


def dumped_mounts(spec: Config, steps: list[Step], root: int) -> list[dict[str, str]]:
    """Where each is in the running container, whose root is ``root``; its name is the config's destination."""
    found = [{"key": _real(root, destination), "val": destination} for destination, _ in mounts(steps)]
    for path in spec.linux.masked_paths:
        real = _real(root, path, "")
        if real and not _is_directory(root, path):
            found.append({"key": real, "val": DEV_NULL})
    return found


def restored_mounts(spec: Config, steps: list[Step]) -> list[dict[str, str]]:
    """What lies on the host for each name."""
    found = [{"key": destination, "val": source} for destination, source in mounts(steps)]
    if spec.linux.masked_paths:
        found.append({"key": DEV_NULL, "val": DEV_NULL})
    return found


def _open_in_root(root: int, path: str) -> int:
    from pyrunc.ffi._sys import lib

    return int(lib.pyrunc_open_in_root(root, os.fsencode(path)))


def _real(root: int, path: str, otherwise: str | None = None) -> str:
    """``path`` without its links, as the container's mountinfo names it; ``otherwise``, or the path itself."""
    descriptor = _open_in_root(root, path)
    if descriptor < 0:
        return path if otherwise is None else otherwise
    try:
        # Told from the root of the container's mount namespace, which its root directory need not be (--no-pivot).
        top, whole = (os.readlink(f"/proc/self/fd/{number}").rstrip("/") for number in (root, descriptor))
        return (whole.removeprefix(top) if whole.startswith(f"{top}/") else whole) or "/"
    finally:
        os.close(descriptor)


def _is_directory(root: int, path: str) -> bool:
    descriptor = _open_in_root(root, path)
    if descriptor < 0:
        return False
    try:
        return os.path.isdir(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def name_of(kind: str) -> str:
    """What CRIU's image calls the external namespace (and runc's images, too)."""
    return f"extRoot{BY_INODE[kind][0].title()}NS"


def dumped_namespaces(spec: Config, pid: int, version: int) -> list[str]:
    """``net[INODE]:extRootNetNS``: joined by path, they are not part of the container and not dumped."""
    found = []
    for kind in Namespaces(spec).paths:
        if kind in BY_INODE:
            name = _supported(kind, version)
            inode = os.stat(f"/proc/{pid}/ns/{PROC_NAMES[kind]}").st_ino
            found.append(f"{name}[{inode}]:{name_of(kind)}")
    return found


def _supported(kind: str, version: int) -> str:
    name, since = BY_INODE[kind]
    if version < since:
        raise PyruncError(
            f"this criu can't leave a {kind} namespace alone that the container only joined: it is too old"
        )
    return name


class Joined:
    """Namespaces that the restored container joins again. ``descriptors`` are to be given to CRIU and closed."""

    def __init__(self, spec: Config, version: int, first: int) -> None:
        """``first``: the number that CRIU has the first of ``descriptors`` under."""
        spaces = Namespaces(spec)
        self.descriptors: list[int] = []
        self.inherit: list[dict[str, Any]] = []
        self.join: list[dict[str, str]] = []
        try:
            for kind, path in spaces.paths.items():
                self._add(kind, path, f"{spaces.places[kind]}.path", version, first)
        except BaseException:
            self.close()
            raise

    def _add(self, kind: str, path: str, where: str, version: int, first: int) -> None:
        if kind == "cgroup":
            raise SpecError(where, "criu can't join a cgroup namespace")
        if kind not in BY_INODE:
            self.join.append({"ns": PROC_NAMES[kind], "ns_file": path})
            return
        _supported(kind, version)
        try:
            self.descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise SpecError(where, f"{path}: {(error.strerror or '').lower()}") from None
        self.inherit.append({"key": name_of(kind), "fd": first + len(self.descriptors) - 1})

    def close(self) -> None:
        """Closes the descriptors; called once CRIU has them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def pipes(names: list[str]) -> list[dict[str, Any]]:
    """Standard descriptors that were pipes are replaced by the ones that CRIU itself has under that number."""
    return [{"key": name, "fd": number} for number, name in enumerate(names) if name.startswith("pipe:")]
