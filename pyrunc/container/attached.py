"""A container, or a process in one, that stays attached to us: its status becomes ours, its terminal goes through us.

For a process that does nothing else, for the signals of all of it are blocked and handled, and every child is reaped.
"""

from pyrunc import hot, interrupts
from pyrunc.container import waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.container.create import Creation
    from pyrunc.container.options import CreateOptions, ExecOptions
    from pyrunc.spec.types import Process


def container(creation: "Creation", make: "Callable[[], int]", keep: bool, subreaper: bool) -> int:
    """A container from its creation by ``make`` to its removal (unless ``keep``); its exit status."""
    if subreaper:
        import _prctl

        # What a container without a pid namespace leaves behind comes to us, not to the host's init.
        _prctl.prctl(_prctl.PR_SET_CHILD_SUBREAPER, 1)
    made = False

    def making() -> int:
        nonlocal made
        pid = make()
        made = True
        return pid

    process = creation.spec.process
    try:
        return attached(creation.options, process, making)
    finally:
        # Of what was not made nothing is left; a container of this id is another one.
        if made and not keep:
            creation.remove()


def attached(options: "CreateOptions | ExecOptions", process: "Process | None", launch: "Callable[[], int]") -> int:
    """The exit status of ``process``, whose pid ``launch`` gives; ``options.console`` is set before it is called."""
    front = None
    if process is not None and process.terminal:
        from pyrunc.container.terminal import Foreground

        front = Foreground()
        front.give_size(process)
        options.console = front.console
    block_signals(options, front is not None)
    try:
        pid = launch()
        if front is None:
            return waiting.wait(pid)
        from pyrunc.container import foreground

        front.begin()
        return foreground.wait(pid, front)
    finally:
        if front is not None:
            front.end()


def block_signals(options: "CreateOptions | ExecOptions", terminal: bool) -> None:
    """Keeps signals for the process, from before there is one. Where the launcher has blocked them already, a terminal
    still takes Python's own part in it, and with it the other half of the interpreter: while the helper works."""

    def block() -> None:
        from pyrunc.container import foreground

        foreground.block()

    if hot.half_started() and not terminal:
        interrupts.take()
    elif hot.half_started():
        options.meanwhile = block
    else:
        block()
