"""`pyrunc run`: creates and starts a container, in the foreground unless detached."""

from pyrunc.cli.commands.create import connect_console, prepare, send
from pyrunc.cli.exit_status import NOT_EXECUTED
from pyrunc.cli.inherited import pidfd_sender
from pyrunc.cli.options import NEW_ID, Command, flag
from pyrunc.cli.shared_options import CREATING, DETACH, NO_SUBREAPER
from pyrunc.container.create import Creation
from pyrunc.errors import StepError
from pyrunc.foreground.run import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "run",
    "Create and start a container, in the foreground unless detached; exits with its status.",
    (NEW_ID,),
    (DETACH, flag("--keep", help="Keep the container's state when it has ended."), NO_SUBREAPER, *CREATING),
    hot=True,
)


def run(options: "Any") -> int:
    """Returns the exit status of the container's process, 0 if detached."""
    spec, chosen = prepare(options)
    chosen.run = True
    if options.detach or (options.console_socket and not (spec.process is not None and spec.process.terminal)):
        connect_console(spec, chosen, options.console_socket)
    send_pidfd = pidfd_sender(options.pidfd_socket)
    creation = Creation(options.container_id, spec, chosen)

    def make() -> int:
        try:
            pid = creation.make()
        except StepError as error:
            if not options.detach and creation.was_started(error):
                error.exit_status = NOT_EXECUTED
            raise
        send(send_pidfd, creation, pid)
        creation.await_ready(pid, bool(options.detach))
        return pid

    if options.detach:
        make()
        return 0
    return container(creation, make, bool(options.keep), not options.no_subreaper)
