"""`pyrunc checkpoint`."""

import os
from typing import Any

from pyrunc.api import Container
from pyrunc.cli.options import ID, Command, Option, flag
from pyrunc.cli.shared_options import CRIU
from pyrunc.errors import PyruncError

COMMAND = Command(
    "checkpoint",
    "Write a running container to disk with CRIU.",
    (ID,),
    (
        *CRIU,
        Option("--parent-path", metavar="DIR", help="The image before, of a pre-dump; relative to the image."),
        flag("--leave-running", help="The container goes on."),
        Option("--page-server", metavar="ADDRESS:PORT", help="CRIU's page server."),
        flag("--tcp-skip-in-flight", help="Leave TCP connections out that are not established yet."),
        flag("--pre-dump", help="Memory only, the container goes on."),
        Option("--status-fd", kind="int", metavar="FD", help="Told when lazy pages can be asked for."),
    ),
)


EMPTY_NAMESPACES = ("network",)
SHARED = ("tcp_established", "ext_unix_sk", "shell_job", "lazy_pages", "file_locks", "auto_dedup", "link_remap")


def chosen(options: Any) -> dict[str, Any]:
    """Returns the options that checkpoint and restore share, by the names of CriuOptions."""
    for namespace in options.empty_ns or ():
        if namespace not in EMPTY_NAMESPACES:
            raise PyruncError(f'namespace "{namespace}" is not supported')  # the network namespace is always empty
    if os.geteuid() != 0:
        from pyrunc import log

        log.warning("checkpoint and restore without root are as good as criu's own support for it")
    return {
        **{name: bool(getattr(options, name)) for name in SHARED},
        "image_path": options.image_path,
        "work_path": options.work_path,
        "manage_cgroups_mode": options.manage_cgroups_mode or "",
    }


def run(options: Any) -> int:
    """Writes the image. Afterwards the container no longer exists, unless --leave-running or --pre-dump was given."""
    status_fd = -1 if options.status_fd is None else options.status_fd
    Container.load(options.container_id, options.root).checkpoint(
        **chosen(options),
        parent_path=options.parent_path or "",
        page_server=options.page_server or "",
        leave_running=bool(options.leave_running),
        pre_dump=bool(options.pre_dump),
        tcp_skip_in_flight=bool(options.tcp_skip_in_flight),
        status_fd=status_fd,
    )
    return 0
