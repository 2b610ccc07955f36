"""`pyrunc checkpoint`."""

import os
from typing import Any

from pyrunc.container.container import Container, absolute
from pyrunc.errors import PyruncError

EMPTY_NAMESPACES = ("network",)
SHARED = ("tcp_established", "ext_unix_sk", "shell_job", "lazy_pages", "file_locks", "auto_dedup", "link_remap")


def chosen(options: Any) -> dict[str, Any]:
    """What checkpoint and restore have in common, by the names of CriuOptions."""
    for namespace in options.empty_ns or ():
        if namespace not in EMPTY_NAMESPACES:
            raise PyruncError(f'namespace "{namespace}" is not supported')  # the network is always an empty one
    if os.geteuid() != 0:
        from pyrunc import log

        log.warning("checkpoint and restore without root are as good as criu's own support for it")
    return {
        **{name: bool(getattr(options, name)) for name in SHARED},
        "image_path": absolute(options.image_path or "checkpoint"),
        "work_path": absolute(options.work_path) if options.work_path else "",
        "manage_cgroups_mode": options.manage_cgroups_mode or "",
    }


def run(options: Any) -> int:
    """Writes the image; the container is gone then, unless --leave-running or --pre-dump."""
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
