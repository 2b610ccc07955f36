"""Where `pyrunc` begins: parses the common command line by the table derived from click, and runs the command.

Whatever the table does not take (help, completion, an unknown option, a wrong value) goes to click, which words it.
"""

import posix
import sys

from pyrunc import __version__, hot, interrupts, log
from pyrunc.cli import derived, words
from pyrunc.errors import PyruncError
from pyrunc.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

GLOBAL: "dict[str, Any]" = derived.GLOBAL
COMMANDS: "dict[str, Any]" = derived.COMMANDS
EXEC_FAILED = 255
"""What `exec` exits with when it is pyrunc that failed, not the program (as runc)."""
INTERRUPTED = 130
ROOT = "/run/pyrunc"
ALL_IDS = b"         0          0 4294967295\n"
"""/proc/self/uid_map of a process that is in no user namespace but the first (user_namespaces(7))."""


class Unusual(Exception):
    """Not for the table."""


def _options(args: "Sequence[str]", table: "dict[str, Any]", stops: bool) -> "tuple[dict[str, Any], list[str]]":
    """(the options' values by attribute, the arguments)."""
    given, rest = words.read(args, table, stops)
    values = {attribute: default for attribute, _, default in table.values()}
    for name, text in given:
        if name not in table:
            raise Unusual
        attribute, kind, _ = table[name]
        value = _value(kind, text)
        values[attribute] = (*values[attribute], value) if kind == "several" else value
    return values, rest


def _value(kind: "Any", text: "str | None") -> "Any":
    if kind == "flag":
        if text is None or text in words.TRUE:
            return True
        if text in words.FALSE:
            return False
    elif text is None:
        raise Unusual
    elif kind in ("str", "several") or (type(kind) is tuple and text in kind):
        return text
    elif kind == "int" and text.isascii() and text.removeprefix("-").isdigit():
        return int(text)
    elif kind == "float" and text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    raise Unusual


def parse(args: "Sequence[str]") -> "tuple[str, dict[str, Any], dict[str, Any]]":
    """(command, the global options, its own); raises Unusual."""
    common, rest = _options(args, GLOBAL, True)
    if not rest or rest[0] not in COMMANDS:
        raise Unusual
    name = rest[0]
    table, arguments, stops = COMMANDS[name]
    values, rest = _options(rest[1:], table, stops)
    for argument in arguments:
        attribute = argument.rstrip("*?")
        if argument.endswith("*"):
            values[attribute], rest = tuple(rest), []
        elif rest:
            values[attribute] = rest.pop(0)
        elif argument.endswith("?"):
            values[attribute] = None
        else:
            raise Unusual
    if rest:
        raise Unusual
    return name, common, values


def default_root() -> str:
    """/run/pyrunc, or for a user the directory that the login session has."""
    directory = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    return f"{directory}/pyrunc" if directory and not _owns_run() else ROOT


def _owns_run() -> bool:
    """Whether /run is ours to write: not a user's, nor that of a user who is root in a namespace of his own only
    (rootless engines; runc tells them from a nested root by $USER)."""
    if posix.geteuid() != 0:
        return False
    if posix.environ.get(b"USER") == b"root":
        return True
    from pyrunc.container.process import read

    return bytes(read("/proc/self/uid_map")) == ALL_IDS


def begin(values: "dict[str, Any]") -> None:
    """What the global options ask for, on either path."""
    log.configure(values["log"], values["log_format"], values["log_level"], values["debug"])
    if values["rootless"] not in (*words.TRUE, *words.FALSE, "auto"):
        raise PyruncError(f"--rootless {values['rootless']}: is not auto, true or false")
    values["root"] = values["root"] or default_root()


def print_bytes() -> None:
    """A path in a state or a plan is bytes: to be printed as it is, whatever the caller's locale."""
    hot.complete()
    if sys.stdout is not None:
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]


def act(name: str, values: "dict[str, Any]") -> int:
    """Does what command ``name`` is for; its exit status."""
    if name not in hot.COMMANDS:
        interrupts.allow()
        print_bytes()
    module = __import__(f"pyrunc.commands.{name.replace('-', '_')}", fromlist=["run"])
    return int(module.run(Options(values)) or 0)


def version() -> str:
    """What engines read: ``NAME version X`` and ``commit: Y``."""
    from pyrunc.container.helper import BINARIES
    from pyrunc.container.process import read
    from pyrunc.container.state import VERSION

    try:
        commit = read(f"{BINARIES}/commit").decode().strip()
    except OSError:
        commit = "unknown"
    lines = [f"pyrunc version {__version__}", f"commit: {commit}", f"spec: {VERSION}"]
    try:
        from pyrunc.ffi import _seccomp
    except ImportError:  # the library is not installed: everything but linux.seccomp works
        return "\n".join(lines)
    found = _seccomp.lib.seccomp_version()
    return "\n".join([*lines, f"libseccomp: {found.major}.{found.minor}.{found.micro}"])


def _by_click(args: "list[str]") -> int:
    interrupts.allow()
    print_bytes()
    import click

    from pyrunc.cli.main import cli

    try:
        result = cli.main(args or ["--help"], prog_name="pyrunc", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "pyrunc"
        raise PyruncError(f"{error.format_message()} (see {path} --help)") from None
    except click.Abort:  # click's word for an interrupt
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) else 0


def run(args: "list[str]") -> int:
    """Runs one command line; returns the exit status. Errors are told, never raised."""
    log.begin()
    try:
        try:
            if b"_PYRUNC_COMPLETE" in posix.environ:
                raise Unusual
            name, common, own = parse(args)
        except Unusual:
            status = _by_click(args)
        else:
            begin(common)
            status = act(name, {**common, **own})
        if not hot.half_started() and sys.stdout is not None:
            sys.stdout.flush()
        return status
    except SystemExit as error:  # the end of click's completion
        return error.code if isinstance(error.code, int) else 0
    except BaseException as error:
        return _failure(args, error)


def _failure(args: "list[str]", error: BaseException) -> int:
    """Tells what went wrong, in one line; the exit status."""
    status = EXEC_FAILED if _command(args) == "exec" else 1
    if isinstance(error, PyruncError):
        log.error(str(error))
    elif isinstance(error, KeyboardInterrupt):
        log.error("interrupted")
        return INTERRUPTED
    elif not (isinstance(error, BrokenPipeError) and _nobody_reads()):
        log.error(_unexpected(error))
    return status


def _command(args: "list[str]") -> str:
    """Which command it was, also when the rest of the line is wrong."""
    return next(iter(words.read(args, GLOBAL, True)[1]), "")


def _nobody_reads() -> bool:
    """Whether the reader of our standard output has gone (`pyrunc list | head -1`), which is no error to tell."""
    import select

    poll = select.poll()
    poll.register(1, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _unexpected(error: BaseException) -> str:
    """A failure that nobody foresaw, in one line; --debug has the rest."""
    if log.wanted("debug"):
        import traceback

        log.debug("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    if isinstance(error, MemoryError):
        return "cannot allocate memory"
    return f"internal error: {type(error).__name__}: {error}"


def hold_standard_descriptors() -> None:
    """Gives those that the caller closed to /dev/null: the next file that we open would be taken for one of them, and
    get what is written there."""
    for descriptor in (0, 1, 2):
        try:
            posix.fstat(descriptor)
        except OSError:
            # open takes the lowest number that is free: this one. The container's process has it, too.
            posix.set_inheritable(posix.open("/dev/null", posix.O_RDWR), True)


def main(child: int = 0) -> "NoReturn":
    """Never returns: what the interpreter would tear down, the kernel does faster. ``child``: the launcher's."""
    hold_standard_descriptors()
    if hot.half_started():
        interrupts.hold()
    status = run(sys.argv[1:])
    if child:
        try:
            posix.waitpid(child, posix.WNOHANG)
        except ChildProcessError:
            pass  # reaped by a foreground `run`
    posix._exit(status)
