"""Runs a container, or a process in one, in the foreground: the runtime exits with its status and connects its
terminal.

For a process that does nothing else, because all of its signals are blocked and handled, and every child is reaped.
"""

import fcntl
import posix

from pyrunc import interpreter, interrupts
from pyrunc.foreground import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.container.create import Creation
    from pyrunc.foreground.pipes import Pipes
    from pyrunc.foreground.terminal import Foreground
    from pyrunc.plan.options import CreateOptions, ExecOptions
    from pyrunc.spec.types import Process

FORMAT, SOCKET = 0o170000, 0o140000


def container(creation: "Creation", make: "Callable[[], int]", keep: bool, subreaper: bool) -> int:
    """Creates a container by ``make``, waits for it, and removes it unless ``keep``. Returns its exit status."""
    if subreaper:
        import _prctl

        # Orphans of a container without a pid namespace are re-parented to this process, not to the host's init.
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
        # A failed make() has removed everything. A container of this id that exists now belongs to another command.
        if made and not keep:
            creation.remove()


def attached(options: "CreateOptions | ExecOptions", process: "Process | None", launch: "Callable[[], int]") -> int:
    """Calls ``launch`` to start ``process``, waits, and returns the exit status. Sets ``options.console`` before
    that."""
    front: Foreground | Pipes | None = None
    if process is not None and process.terminal:
        from pyrunc.foreground import terminal

        front = given = terminal.Foreground()
        given.give_size(process)
        options.console = given.console
    elif sockets := [number for number in range(3) if posix.fstat(number).st_mode & FORMAT == SOCKET]:
        from pyrunc.foreground import pipes

        front = piped = pipes.Pipes(sockets)
        options.stdio = (*piped.stdio, *map(_inherited, range(3, 3 + options.preserve_fds)))
    if front is not None:
        # Copying needs the second phase of the interpreter, which is started while the helper works.
        options.meanwhile = interpreter.complete
    interrupts.hold()
    try:
        # While the launch waits, a signal that ends the runtime ends the launch, too: a container may stop processes
        # that enter it.
        pid = launch()
        wait.block()
        if front is None:
            return wait.wait(pid)
        front.begin()
        return _wait(pid, front)
    finally:
        if front is not None:
            front.end()


def _inherited(descriptor: int) -> int:
    """Returns ``descriptor``, or -1 if the caller did not pass one with that number. The number may meanwhile belong to
    a descriptor of the runtime, such as the socket of --pidfd-socket. All of these are CLOEXEC, and must not reach the
    program."""
    try:
        return -1 if fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC else descriptor
    except OSError:
        return -1


def _wait(pid: int, front: "Foreground | Pipes") -> int:
    from pyrunc.foreground.terminal import Foreground

    if isinstance(front, Foreground):
        from pyrunc.foreground import terminal_wait

        return terminal_wait.wait(pid, front)
    return front.wait(pid)
