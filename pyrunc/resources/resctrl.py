"""Intel RDT: cache allocation and memory bandwidth through resctrl (Linux 4.10, filesystems/resctrl.rst).

``root`` is the mount point of resctrl: CreateOptions.resctrl, which the container's state records.
"""

import posix

from pyrunc.errors import PyruncError, SpecError
from pyrunc.linux.files import read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import IntelRdt

PLACE = "linux.intelRdt"


def check(root: str, container_id: str, rdt: "IntelRdt") -> None:
    """Raises SpecError if the host cannot do what the config requests."""
    if not _exists(f"{root}/info"):
        raise SpecError(PLACE, f"the host has no {root} (no Intel RDT, or resctrl is not mounted)")
    directory, lines = group(root, container_id, rdt), _lines(rdt)
    if not rdt.clos_id or directory == root:
        return
    if not _exists(directory):
        if not lines:
            raise SpecError(f"{PLACE}.closID", f"{directory}: no such class, and no schemata to make it from")
    elif not rdt.schemata:
        _check_same(directory, lines)


def group(root: str, container_id: str, rdt: "IntelRdt") -> str:
    """Returns the container's directory: that of its CLOS, the default one for ``/``, or its own."""
    name = rdt.clos_id or container_id
    if name in (".", "..") or ("/" in name and name != "/"):
        raise SpecError(f"{PLACE}.closID", f"{name!r} is not the name of a directory")
    return root if name == "/" else f"{root}/{name}"


def owned(root: str, container_id: str, rdt: "IntelRdt") -> "list[str]":
    """Returns the directories to remove with the container, in this order: its monitoring group, and its own CLOS. A
    CLOS that closID names may be shared, and stays (as with runc)."""
    directory = group(root, container_id, rdt)
    paths = [f"{directory}/mon_groups/{container_id}"] if rdt.enable_monitoring else []
    return paths if rdt.clos_id else [*paths, directory]


def create(root: str, container_id: str, rdt: "IntelRdt", pid: int) -> None:
    """Creates missing directories, writes the schemata, and moves ``pid`` into the group."""
    directory = group(root, container_id, rdt)
    _make(directory, f"{PLACE}.closID")
    write_schemata(root, container_id, rdt)
    _write(root, f"{directory}/tasks", str(pid), PLACE)
    if rdt.enable_monitoring:
        place, monitor = f"{PLACE}.enableMonitoring", f"{directory}/mon_groups/{container_id}"
        _make(monitor, place)
        _write(root, f"{monitor}/tasks", str(pid), place)


def write_schemata(root: str, container_id: str, rdt: "IntelRdt") -> None:
    """Writes all lines in one write, in the order of config-linux.md: l3CacheSchema, memBwSchema, schemata."""
    lines = _lines(rdt)
    if lines:
        places = {where.partition("[")[0] for where, _ in lines}
        where = places.pop() if len(places) == 1 else PLACE
        text = "".join(f"{line}\n" for _, line in lines)
        _write(root, f"{group(root, container_id, rdt)}/schemata", text, where)


def _lines(rdt: "IntelRdt") -> "list[tuple[str, str]]":
    """Returns [(place in config.json, line)]. MB lines in l3CacheSchema are ignored: they belong in memBwSchema (as
    with runc)."""
    lines = [
        (f"{PLACE}.l3CacheSchema", line) for line in rdt.l3_cache_schema.splitlines() if not line.startswith("MB:")
    ]
    lines += [(f"{PLACE}.memBwSchema", line) for line in rdt.mem_bw_schema.splitlines()]
    return lines + [(f"{PLACE}.schemata[{index}]", line) for index, line in enumerate(rdt.schemata)]


def _check_same(directory: str, lines: "list[tuple[str, str]]") -> None:
    """Raises SpecError unless an existing CLOS has the schemata of the config (config-linux.md "IntelRdt")."""
    have = {_plain(line) for line in _text(f"{directory}/schemata").split("\n")}
    for where, line in lines:
        if _plain(line) not in have:
            raise SpecError(where, f"differs from the schemata of the existing CLOS {directory.rpartition('/')[2]}")


def _plain(line: str) -> str:
    """Returns ``line`` without blanks and without the kernel's padding of values."""
    kind, _, domains = line.partition(":")
    pairs = (pair.partition("=") for pair in domains.split(";"))
    return kind.strip() + ":" + ";".join(f"{i.strip()}={value.strip().lstrip('0') or '0'}" for i, _, value in pairs)


def _make(path: str, where: str) -> None:
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        return
    except OSError as error:
        raise SpecError(where, f"mkdir {path}: {(error.strerror or '').lower()}") from None


def _write(root: str, path: str, text: str, where: str) -> None:
    """Writes ``text``. The error quotes info/last_cmd_status, the kernel's reason for a refusal."""
    try:
        write(path, text)
    except OSError as error:
        said = " ".join(_text(f"{root}/info/last_cmd_status").split())
        more = f" ({said})" if said not in ("", "ok") else ""
        raise SpecError(where, f"write {text.strip()!r} to {path}: {(error.strerror or '').lower()}{more}") from None


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
        return True
    except OSError:
        return False


def _text(path: str) -> str:
    try:
        return read(path).decode("utf-8", "replace")
    except OSError:
        return ""


def remove(paths: "list[str]") -> None:
    """Removes the directories that ``owned`` returned. The kernel moves their processes to the parent group. Raises
    PyruncError that names what could not be removed."""
    failed = []
    for path in paths:
        try:
            posix.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed.append(f"remove {path}: {(error.strerror or '').lower()}")
    if failed:
        raise PyruncError("; ".join(failed))


def stats(root: str, container_id: str, rdt: "IntelRdt") -> "dict[str, Any]":
    """Returns the hardware's capabilities, the allocation and, with enableMonitoring, the usage, under runc's keys."""
    directory = group(root, container_id, rdt)
    found: dict[str, Any] = {}
    for kind, key, info in (("L3", "l3_cache", _cache_info(root)), ("MB", "mem_bw", _bandwidth_info(root))):
        if not info:
            continue
        found[f"{key}_info"] = info
        found[f"{key}_schema_root"] = _schema(f"{root}/schemata", kind)
        found[f"{key}_schema"] = _schema(f"{directory}/schemata", kind)
    if rdt.enable_monitoring:
        _monitored(f"{directory}/mon_groups/{container_id}/mon_data", found)
    return found


def _schema(path: str, kind: str) -> str:
    return next((line.strip() for line in _text(path).splitlines() if line.strip().startswith(f"{kind}:")), "")


def _cache_info(root: str) -> "dict[str, Any]":
    if not _exists(f"{root}/info/L3"):
        return {}
    info: dict[str, Any] = {"cbm_mask": _text(f"{root}/info/L3/cbm_mask").strip()}
    return {**info, **_numbers(f"{root}/info/L3", "min_cbm_bits", "num_closids")}


def _bandwidth_info(root: str) -> "dict[str, Any]":
    if not _exists(f"{root}/info/MB"):
        return {}
    return _numbers(f"{root}/info/MB", "bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")


def _numbers(directory: str, *names: str) -> "dict[str, int]":
    texts = {name: _text(f"{directory}/{name}").strip() for name in names}
    return {name: int(text) for name, text in texts.items() if text.isdigit()}


def _monitored(directory: str, found: "dict[str, Any]") -> None:
    """Adds one entry for each cache, in the order of their names."""
    names = sorted(name for name in posix.listdir(directory) if name.startswith("mon_L3_"))
    bandwidth = [_numbers(f"{directory}/{name}", "mbm_total_bytes", "mbm_local_bytes") for name in names]
    occupied = [_numbers(f"{directory}/{name}", "llc_occupancy") for name in names]
    if any(bandwidth):
        found["mbm_stats"] = bandwidth
    if any(occupied):
        found["cmt_stats"] = occupied
