"""`pyrunc restore`."""

from typing import Any

from pyrunc.commands.checkpoint import chosen
from pyrunc.commands.create import cgroup_manager, connect_console
from pyrunc.container.attached import container
from pyrunc.container.container import absolute
from pyrunc.container.options import CreateOptions
from pyrunc.criu.options import CriuOptions
from pyrunc.criu.restore import Restoration
from pyrunc.spec.load import load


def run(options: Any) -> int:
    """Returns the exit status of the container's process, 0 when detached."""
    bundle = absolute(options.bundle or ".")
    spec = load(f"{bundle}/config.json")
    creating = CreateOptions(
        root=absolute(options.root),
        bundle=bundle,
        pid_file=absolute(options.pid_file) if options.pid_file else "",
        no_pivot=bool(options.no_pivot),
        cgroup_manager=cgroup_manager(options),
    )
    criu = CriuOptions(
        **chosen(options),
        lsm_profile=options.lsm_profile or "",
        lsm_mount_context=options.lsm_mount_context or "",
    )
    if options.detach:
        connect_console(spec, creating, options.console_socket)
    restoration = Restoration(options.container_id, spec, creating, criu)
    if options.detach:
        restoration.make()
        return 0
    return container(restoration.creation, restoration.make, False, not options.no_subreaper)
