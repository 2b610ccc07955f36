"""CRIU's messages (images/rpc.proto of its sources), as far as pyrunc sends and reads them, and their bytes.

Protocol buffers of kind proto2 have three things on the wire that matter here: a varint, a length with bytes, and the
number of the field before either (protobuf.dev, "Encoding"). The ``protobuf`` package would bring a compiler and 1 MB
of code for it.
"""

from collections.abc import Iterator
from typing import Any

from pyrunc.errors import PyruncError

EMPTY, DUMP, RESTORE, CHECK, PRE_DUMP, PAGE_SERVER, NOTIFY = range(7)
FEATURE_CHECK, VERSION = 9, 10
NAMES = {DUMP: "dump", RESTORE: "restore", PRE_DUMP: "pre-dump", FEATURE_CHECK: "feature check", VERSION: "version"}
"""criu_req_type."""

CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5, "": 6}
"""criu_cg_mode; "" is CRIU's own choice (soft)."""

Fields = dict[str, tuple[int, str]]

MESSAGES: dict[str, Fields] = {
    # message: {field: (number, int | bool | text | message)}
    "request": {
        "type": (1, "int"),
        "opts": (2, "options"),
        "notify_success": (3, "bool"),
        "features": (5, "features"),
    },
    "options": {
        "images_dir_fd": (1, "int"),
        "pid": (2, "int"),
        "leave_running": (3, "bool"),
        "ext_unix_sk": (4, "bool"),
        "tcp_established": (5, "bool"),
        "evasive_devices": (6, "bool"),
        "shell_job": (7, "bool"),
        "file_locks": (8, "bool"),
        "log_level": (9, "int"),
        "log_file": (10, "text"),
        "ps": (11, "page_server"),
        "notify_scripts": (12, "bool"),
        "root": (13, "text"),
        "parent_img": (14, "text"),
        "track_mem": (15, "bool"),
        "auto_dedup": (16, "bool"),
        "work_dir_fd": (17, "int"),
        "link_remap": (18, "bool"),
        "ext_mnt": (23, "pair"),
        "manage_cgroups": (24, "bool"),
        "cg_root": (25, "cgroup_root"),
        "rst_sibling": (26, "bool"),
        "inherit_fd": (27, "inherit_fd"),
        "manage_cgroups_mode": (34, "int"),
        "external": (37, "text"),
        "empty_ns": (38, "int"),
        "join_ns": (39, "join_namespace"),
        "freeze_cgroup": (44, "text"),
        "tcp_skip_in_flight": (46, "bool"),
        "lazy_pages": (48, "bool"),
        "status_fd": (49, "int"),
        "orphan_pts_master": (50, "bool"),
        "config_file": (51, "text"),
        "lsm_profile": (53, "text"),
        "lsm_mount_context": (63, "text"),
    },
    "page_server": {"address": (1, "text"), "port": (2, "int")},
    "pair": {"key": (1, "text"), "val": (2, "text")},
    "cgroup_root": {"ctrl": (1, "text"), "path": (2, "text")},
    "inherit_fd": {"key": (1, "text"), "fd": (2, "int")},
    "join_namespace": {"ns": (1, "text"), "ns_file": (2, "text")},
    "features": {"mem_track": (1, "bool"), "lazy_pages": (2, "bool")},
    "response": {
        "type": (1, "int"),
        "success": (2, "bool"),
        "restore": (4, "restored"),
        "notify": (5, "notify"),
        "cr_errno": (7, "int"),
        "features": (8, "features"),
        "cr_errmsg": (9, "text"),
        "version": (10, "version"),
    },
    "restored": {"pid": (1, "int")},
    "notify": {"script": (1, "text"), "pid": (2, "int")},
    "version": {"major_number": (1, "int"), "minor_number": (2, "int"), "gitid": (3, "text"), "sublevel": (4, "int")},
}

VARINT, LENGTH = 0, 2
"""Wire types."""
SKIPPED = {1: 8, 5: 4}
"""Those of a fixed size in bytes, which no field here has."""


def encode(message: str, values: dict[str, Any]) -> bytes:
    """The bytes of ``message``; a list is a repeated field, None an absent one."""
    out = b""
    for name, value in values.items():
        number, kind = MESSAGES[message][name]
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            if kind in ("int", "bool"):
                out += _varint(number << 3 | VARINT) + _varint(int(item))
            else:
                data = item.encode("utf-8", "surrogateescape") if kind == "text" else encode(kind, item)
                out += _varint(number << 3 | LENGTH) + _varint(len(data)) + data
    return out


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative int32 goes as 64 bits
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(message: str, data: bytes) -> dict[str, Any]:
    """The known fields of ``data``, the last one of each; PyruncError when they are not of ``message``."""
    names = {number: (name, kind) for name, (number, kind) in MESSAGES[message].items()}
    found: dict[str, Any] = {}
    try:
        for number, value in _fields(data):
            name, kind = names.get(number, ("", ""))
            if name:
                found[name] = _value(kind, value)
    except (IndexError, ValueError, TypeError):
        raise PyruncError(f"criu: its {message} can't be read") from None
    return found


def _value(kind: str, value: int | bytes) -> Any:
    if isinstance(value, int):
        if kind not in ("int", "bool"):
            raise ValueError
        return bool(value) if kind == "bool" else value - (1 << 64) if value >> 63 else value
    return value.decode("utf-8", "surrogateescape") if kind == "text" else decode(kind, value)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of every field; those of a fixed size are left out."""
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _read(data, at)
            yield number, value
        elif wire == LENGTH:
            size, at = _read(data, at)
            if at + size > len(data):
                raise ValueError
            yield number, data[at : at + size]
            at += size
        else:
            at += SKIPPED.get(wire) or len(data) + 1
            if at > len(data):
                raise ValueError


def _read(data: bytes, at: int) -> tuple[int, int]:
    """(a varint, where it ends)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
        if shift > 63:
            raise ValueError
