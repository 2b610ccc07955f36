"""`pyrunc run`: create and start in one, in the foreground unless detached."""

from pyrunc.commands.create import connect_console, prepare, send_pidfd
from pyrunc.container.attached import container
from pyrunc.container.create import Creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Returns the exit status of the container's process, 0 when detached."""
    spec, chosen = prepare(options)
    chosen.run = True
    if options.detach or (options.console_socket and not (spec.process is not None and spec.process.terminal)):
        connect_console(spec, chosen, options.console_socket)
    creation = Creation(options.container_id, spec, chosen)

    def make() -> int:
        pid = creation.make()
        send_pidfd(options, pid)
        creation.await_ready(pid, bool(options.detach))
        return pid

    if options.detach:
        make()
        return 0
    return container(creation, make, bool(options.keep), not options.no_subreaper)
