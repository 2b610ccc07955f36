"""Intel RDT: cache allocation and memory bandwidth through resctrl (Linux 4.10, filesystems/resctrl.rst)."""

import posix

from pyrunc.container.process import read
from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import IntelRdt

ROOT = "/sys/fs/resctrl"
PLACE = "linux.intelRdt"


def group(container_id: str, rdt: "IntelRdt") -> str:
    """The container's directory: its CLOS, the default one for ``/``, or one of its own."""
    name = rdt.clos_id or container_id
    if name in (".", "..") or ("/" in name and name != "/"):
        raise SpecError(f"{PLACE}.closID", f"{name!r} is not the name of a directory")
    return ROOT if name == "/" else f"{ROOT}/{name}"


def create(container_id: str, rdt: "IntelRdt", pid: int) -> "list[str]":
    """Makes the group, writes the schemata, puts ``pid`` in; returns what was made, to be removed at the end."""
    if not _exists(f"{ROOT}/info"):
        raise SpecError(PLACE, f"the host has no {ROOT} (no Intel RDT, or resctrl is not mounted)")
    directory = group(container_id, rdt)
    schemata = _schemata(rdt)
    made = []
    if not _exists(directory):
        posix.mkdir(directory, 0o755)
        made.append(directory)
    elif rdt.clos_id and schemata and not rdt.schemata:
        _check_same(directory, schemata)
    write_schemata(container_id, rdt)
    _write(f"{directory}/tasks", str(pid), PLACE)
    if rdt.enable_monitoring:
        monitor = f"{directory}/mon_groups/{container_id}"
        posix.mkdir(monitor, 0o755)
        made.insert(0, monitor)
        _write(f"{monitor}/tasks", str(pid), f"{PLACE}.enableMonitoring")
    return made


def write_schemata(container_id: str, rdt: "IntelRdt | None") -> None:
    """Writes what the config asks for, line by line, as the kernel takes it."""
    if rdt is None:
        return
    directory = group(container_id, rdt)
    for where, line in _schemata(rdt):
        _write(f"{directory}/schemata", line + "\n", where)


def _schemata(rdt: "IntelRdt") -> "list[tuple[str, str]]":
    lines = [
        (f"{PLACE}.l3CacheSchema", line) for line in rdt.l3_cache_schema.splitlines() if not line.startswith("MB:")
    ]
    lines += [(f"{PLACE}.memBwSchema", line) for line in rdt.mem_bw_schema.splitlines()]
    return lines + [(f"{PLACE}.schemata[{index}]", line) for index, line in enumerate(rdt.schemata)]


def _check_same(directory: str, schemata: "list[tuple[str, str]]") -> None:
    """A CLOS that exists already must be what the config says (config-linux.md "IntelRdt")."""
    have = {line.strip() for line in read(f"{directory}/schemata").decode().splitlines()}
    for where, line in schemata:
        if line.strip() not in have:
            raise SpecError(where, f"differs from the schemata of the existing CLOS {directory.rpartition('/')[2]}")


def _write(path: str, text: str, where: str) -> None:
    try:
        descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(descriptor, text.encode())
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise SpecError(where, f"write {text.strip()!r} to {path}: {(error.strerror or '').lower()}") from None


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
        return True
    except OSError:
        return False


def remove(made: "list[str]") -> None:
    """Removes what ``create`` made."""
    for path in made:
        try:
            posix.rmdir(path)
        except FileNotFoundError:
            continue


def stats(container_id: str, rdt: "IntelRdt") -> "dict[str, Any]":
    """Schemata of the root and of the group."""
    directory = group(container_id, rdt)
    try:
        return {
            "schema_root": read(f"{ROOT}/schemata").decode(),
            "schema": read(f"{directory}/schemata").decode(),
        }
    except OSError:
        return {}
