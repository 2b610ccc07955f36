"""The entry point of `pyrunc`: parses the command line by the commands' tables, runs the command, reports a failure.

If the tables do not accept the line (help, completion, an unknown option, a wrong value), click handles it and writes
the message.
"""

import posix
import sys

from pyrunc import interpreter, interrupts, log
from pyrunc.cli import parser
from pyrunc.cli.exit_status import EXEC_FAILED, FAILED, INTERRUPTED, NO_SUCH_COMMAND
from pyrunc.cli.invoke import act, begin, print_bytes
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run(args: "list[str]", note: str = "") -> int:
    """Runs one command line; returns the exit status. Logs errors instead of raising them. ``note``: as for main()."""
    log.begin()
    try:
        try:
            if b"_PYRUNC_COMPLETE" in posix.environ:
                raise parser.Unusual
            name, common, own = parser.parse(args)
        except parser.Unusual:
            status = _by_click(args)
        else:
            begin(common)
            if note:
                log.debug(note)
            status = act(name, {**common, **own})
        if not interpreter.half_started() and sys.stdout is not None:
            sys.stdout.flush()
        return status
    except SystemExit as error:  # click's completion ends with it
        return error.code if isinstance(error.code, int) else 0
    except BaseException as error:
        return _failure(args, error)


def _by_click(args: "list[str]") -> int:
    interrupts.allow()
    print_bytes()
    import click

    from pyrunc.cli.app import cli

    try:
        result = cli.main(args or ["--help"], prog_name="pyrunc", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "pyrunc"
        found = PyruncError(f"{error.format_message()} (see {path} --help)")
        # For `exec` too: as in runc, 255 is only for failures after the command line has been parsed.
        found.exit_status = NO_SUCH_COMMAND if error.exit_code == NO_SUCH_COMMAND else FAILED
        raise found from None
    except click.Abort:  # click's exception for an interrupt
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) else 0


def _failure(args: "list[str]", error: BaseException) -> int:
    """Logs the error in one line; returns the exit status."""
    status = EXEC_FAILED if parser.named(args) == "exec" else FAILED
    if isinstance(error, PyruncError):
        log.error(str(error))
        return error.exit_status or status
    if isinstance(error, KeyboardInterrupt):
        log.error("interrupted")
        return INTERRUPTED
    if isinstance(error, interrupts.Terminated):
        log.error(str(error))
        interrupts.die_by(error.number)
    if not (isinstance(error, BrokenPipeError) and _has_no_reader()):
        log.error(_unexpected(error))
    return status


def _has_no_reader() -> bool:
    """Whether the reader of standard output has exited (`pyrunc list | head -1`). That is not reported as an error."""
    import select

    poll = select.poll()
    poll.register(1, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _unexpected(error: BaseException) -> str:
    """Returns a one-line message for an error that pyrunc does not expect. With --debug also logs the traceback."""
    if log.wanted("debug"):
        import traceback

        log.debug("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    if isinstance(error, ImportError):  # not enough memory or descriptors to map the module's file
        return f"load {error.name or 'a module'}: {error.msg}"
    if isinstance(error, MemoryError):
        return "cannot allocate memory"
    return f"internal error: {type(error).__name__}: {error}"


def hold_standard_descriptors() -> None:
    """Opens /dev/null on each of the descriptors 0 to 2 that the caller has closed. Otherwise the next file that pyrunc
    opens would get that number, and receive what is written to standard output or standard error."""
    for descriptor in (0, 1, 2):
        try:
            posix.fstat(descriptor)
        except OSError:
            # open(2) uses the lowest free number, which is this one. The container's process inherits it.
            posix.set_inheritable(posix.open("/dev/null", posix.O_RDWR), True)


def main(child: int = 0, note: str = "") -> "NoReturn":
    """Runs the command line in sys.argv and exits. Never returns: the kernel releases everything faster than the
    interpreter could. ``child``: a child process of the launcher's, to be reaped. ``note``: the launcher's message for
    the log level debug."""
    hold_standard_descriptors()
    interrupts.hold()
    status = run(sys.argv[1:], note)
    if child:
        try:
            posix.waitpid(child, posix.WNOHANG)
        except ChildProcessError:
            pass  # reaped by a foreground `run`
    posix._exit(status)
