"""`pyrunc run`: create and start in one, in the foreground unless detached."""

from pyrunc import hot
from pyrunc.commands.create import connect_console, prepare
from pyrunc.container.create import Creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.execute import ExecOptions
    from pyrunc.container.options import CreateOptions


def run(options: "Any") -> int:
    """Returns the exit status of the container's process, 0 when detached."""
    spec, chosen = prepare(options)
    chosen.run = True
    if options.detach:
        connect_console(spec, chosen, options.console_socket)
        _send_pidfd(options, Creation(options.container_id, spec, chosen).make())
        return 0
    if not options.no_subreaper:
        import _prctl

        # What a container without a pid namespace leaves behind comes to us, not to the host's init.
        _prctl.prctl(_prctl.PR_SET_CHILD_SUBREAPER, 1)
    terminal = None
    if spec.process is not None and spec.process.terminal:
        from pyrunc.container.terminal import Foreground

        terminal = Foreground()
        chosen.console = terminal.console
    elif options.console_socket:
        connect_console(spec, chosen, options.console_socket)
    block_signals(chosen)
    creation = Creation(options.container_id, spec, chosen)
    try:
        pid = creation.make()
        _send_pidfd(options, pid)
        if terminal is not None:
            terminal.begin()
        from pyrunc.container import foreground

        return foreground.wait(pid, terminal)
    finally:
        if terminal is not None:
            terminal.end()
        if not options.keep:
            creation.remove()


def block_signals(chosen: "CreateOptions | ExecOptions") -> None:
    """Keeps signals for the process, from before there is one. Where the launcher has blocked them already, Python's
    own part in it, which takes the other half of the interpreter, is done while the helper works."""

    def block() -> None:
        from pyrunc.container import foreground

        foreground.block()

    if hot.half_started():
        chosen.meanwhile = block
    else:
        block()


def _send_pidfd(options: "Any", pid: int) -> None:
    if options.pidfd_socket:
        from pyrunc.container.terminal import send_pidfd

        send_pidfd(options.pidfd_socket, pid)
