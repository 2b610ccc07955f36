"""The part of CRIU's messages (images/rpc.proto of its sources) that pyrunc sends and reads (pyrunc/protobuf.py)."""

from typing import Any

from pyrunc.errors import PyruncError
from pyrunc.protobuf import Codec

EMPTY, DUMP, RESTORE, CHECK, PRE_DUMP, PAGE_SERVER, NOTIFY = range(7)
FEATURE_CHECK, VERSION = 9, 10
NAMES = {DUMP: "dump", RESTORE: "restore", PRE_DUMP: "pre-dump", FEATURE_CHECK: "feature check", VERSION: "version"}
"""criu_req_type."""

CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5, "": 6}
"""criu_cg_mode. "" is CRIU's default (soft)."""

MESSAGES = {
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
        "ext_mnt": (23, "pair[]"),
        "manage_cgroups": (24, "bool"),
        "cg_root": (25, "cgroup_root[]"),
        "rst_sibling": (26, "bool"),
        "inherit_fd": (27, "inherit_fd[]"),
        "manage_cgroups_mode": (34, "int"),
        "external": (37, "text[]"),
        "empty_ns": (38, "int"),
        "join_ns": (39, "join_namespace[]"),
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

_codec = Codec(MESSAGES, sparse=False)  # proto2: every given field is written, also a zero


def encode(message: str, values: dict[str, Any]) -> bytes:
    """Returns the bytes of ``message``. A list is a repeated field, None an absent one."""
    return _codec.encode(message, values)


def decode(message: str, data: bytes) -> dict[str, Any]:
    """Returns the known fields in ``data``. PyruncError if it is not a valid ``message``."""
    try:
        return _codec.decode(message, data)
    except ValueError:
        raise PyruncError(f"criu: its {message} can't be read") from None
