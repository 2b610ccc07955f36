"""The options of a checkpoint and a restore, with runc's defaults."""

from typing import Any

from pyrunc.criu.messages import CGROUP_MODES
from pyrunc.errors import PyruncError
from pyrunc.plan.namespaces import FLAGS


class CriuOptions:
    """The options as plain values, with the names of the command line's options.

    ``image_path``: the directory of the image. ``work_path``: the directory of CRIU's logs, by default the image's.
    ``parent_path``: the previous image, relative to ``image_path``. ``page_server``: ``ADDRESS:PORT`` or "".
    ``status_fd``: a descriptor that receives a NUL when lazy pages can be requested, or -1. ``manage_cgroups_mode``:
    ``soft``, ``full``, ``strict``, ``ignore`` or "" (CRIU's default). TypeError for an unknown name, PyruncError for a
    wrong value.
    """

    def __init__(self, **given: Any) -> None:
        self.image_path = "checkpoint"
        self.work_path = self.parent_path = self.page_server = ""
        self.leave_running = self.pre_dump = False
        self.tcp_established = self.tcp_skip_in_flight = self.ext_unix_sk = self.shell_job = self.file_locks = False
        self.lazy_pages = self.auto_dedup = self.link_remap = False
        self.status_fd = -1
        self.manage_cgroups_mode = ""
        self.lsm_profile = self.lsm_mount_context = ""
        for name, value in given.items():
            if not hasattr(self, name):
                raise TypeError(f"no such option: {name}")
            setattr(self, name, value)
        if self.manage_cgroups_mode not in CGROUP_MODES:
            raise PyruncError(f"invalid manage-cgroups-mode {self.manage_cgroups_mode!r}")

    def shared(self) -> dict[str, Any]:
        """Returns the options that the requests for a dump and a restore share."""
        mode = CGROUP_MODES[self.manage_cgroups_mode]
        return {
            "log_level": 4,
            "notify_scripts": True,
            "orphan_pts_master": True,
            "manage_cgroups": True,  # for CRIU before 2.0
            "manage_cgroups_mode": mode,
            "empty_ns": EMPTY_NAMESPACES,
            "shell_job": self.shell_job,
            "tcp_established": self.tcp_established,
            "ext_unix_sk": self.ext_unix_sk,
            "file_locks": self.file_locks,
            "auto_dedup": self.auto_dedup,
            "lazy_pages": self.lazy_pages,
        }

    def page_server_address(self) -> dict[str, Any] | None:
        """Parses ``--page-server``. PyruncError if it is not ADDRESS:PORT. An IPv6 address is in brackets."""
        if not self.page_server:
            return None
        address, _, port = self.page_server.rpartition(":")
        address = address.removeprefix("[").removesuffix("]")
        if not address or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 0xFFFF:
            raise PyruncError(f"--page-server {self.page_server!r}: is not ADDRESS:PORT")
        return {"address": address, "port": int(port)}


EMPTY_NAMESPACES = FLAGS["network"]
"""Always set, as in runc: the hook or the engine that made the network interfaces makes them again."""
