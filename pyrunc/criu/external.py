"""A container's external resources, which a request to CRIU must list: mounts, namespaces, standard descriptors."""

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
"""The file in the image's directory that records what init's standard descriptors were."""
BY_INODE = {"network": ("net", 31100), "pid": ("pid", 31500)}
"""Namespaces that CRIU supports as external ones: {type: (CRIU's name, first version)}."""
DEV_NULL = "/dev/null"


def mounts(steps: list[Step]) -> list[tuple[str, str]]:
    """Returns (destination, source on the host) of every mount whose source is outside of the container: those that the
    plan attaches."""
    sources = {step.args[2]: str(step.args[0]) for step in steps if step.kind == "open-tree"}
    attached = (step for step in steps if step.kind == "attach")
    return [("/" + clean(str(step.args[1])), sources[step.args[0]]) for step in attached]


def plan(spec: Config, facts: Facts) -> list[Step]:
    """Returns the steps that create a container with this config."""
    facts.options.libraries = []
    return compile_create(spec, facts)


def dumped_mounts(spec: Config, steps: list[Step], root: int) -> list[dict[str, str]]:
    """Returns CRIU's list of external mounts for a dump: the path in the running container, whose root is ``root``, and
    the mount's name in the image, which is the config's destination."""
    found = [{"key": _real(root, destination), "val": destination} for destination, _ in mounts(steps)]
    for path in spec.linux.masked_paths:
        real = _real(root, path, "")
        if real and not _is_directory(root, path):
            found.append({"key": real, "val": DEV_NULL})
    return found


def restored_mounts(spec: Config, steps: list[Step]) -> list[dict[str, str]]:
    """Returns CRIU's list of external mounts for a restore: the mount's name in the image, and the source on the
    host."""
    found = [{"key": destination, "val": source} for destination, source in mounts(steps)]
    if spec.linux.masked_paths:
        found.append({"key": DEV_NULL, "val": DEV_NULL})
    return found


def _open_in_root(root: int, path: str) -> int:
    from pyrunc.ffi._sys import lib

    return int(lib.pyrunc_open_in_root(root, os.fsencode(path)))


def _real(root: int, path: str, otherwise: str | None = None) -> str:
    """Resolves the links in ``path``, so that it is as in the container's mountinfo. If ``path`` cannot be opened,
    returns ``otherwise``, or ``path`` if that is None."""
    descriptor = _open_in_root(root, path)
    if descriptor < 0:
        return path if otherwise is None else otherwise
    try:
        # The paths start at the root of the container's mount namespace. Its root directory may be elsewhere
        # (--no-pivot).
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
    """Returns the name of the external namespace in CRIU's image, the same as in runc's images."""
    return f"extRoot{BY_INODE[kind][0].title()}NS"


def dumped_namespaces(spec: Config, pid: int, version: int) -> list[str]:
    """Returns the namespaces that the container joined by path, as ``net[INODE]:extRootNetNS``. They are not part of
    the container, and are not dumped."""
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
    """The namespaces that the restored container joins again. The caller passes ``descriptors`` to CRIU, and then
    closes them."""

    def __init__(self, spec: Config, version: int, first: int) -> None:
        """``first``: the number of the first of ``descriptors`` in CRIU."""
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
        """Closes the descriptors. To be called after CRIU has received them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def pipes(names: list[str]) -> list[dict[str, Any]]:
    """Returns CRIU's list of descriptors to inherit: each standard descriptor that was a pipe is replaced by the
    descriptor of CRIU's that has the same number."""
    return [{"key": name, "fd": number} for number, name in enumerate(names) if name.startswith("pipe:")]
