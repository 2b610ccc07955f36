"""`pyrunc restore`."""

from typing import Any

from pyrunc.cli.commands.checkpoint import chosen
from pyrunc.cli.commands.create import cgroup_manager, connect_console
from pyrunc.cli.options import NEW_ID, Command, Option
from pyrunc.cli.shared_options import BUNDLE, CONSOLE_SOCKET, CRIU, DETACH, NO_PIVOT, NO_SUBREAPER, PID_FILE
from pyrunc.criu.options import CriuOptions
from pyrunc.criu.restore import Restoration
from pyrunc.foreground.run import container
from pyrunc.plan.options import CreateOptions
from pyrunc.spec.load import load

COMMAND = Command(
    "restore",
    "Bring a checkpointed container back with CRIU.",
    (NEW_ID,),
    (
        *CRIU,
        *(BUNDLE, DETACH, PID_FILE, CONSOLE_SOCKET, NO_PIVOT, NO_SUBREAPER),
        Option("--lsm-profile", metavar="TYPE:PROFILE", help="An LSM profile instead of the image's."),
        Option("--lsm-mount-context", metavar="CONTEXT", help="A mount context instead of the image's."),
    ),
)


def run(options: Any) -> int:
    """Returns the exit status of the container's process, 0 if detached."""
    spec = load(f"{options.bundle}/config.json")
    creating = CreateOptions.of(options)
    creating.cgroup_manager = cgroup_manager(options)
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
