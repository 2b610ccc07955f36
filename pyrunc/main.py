"""Where `pyrunc` begins: parses the common command line by the table derived from click, and runs the command.

Whatever the table does not take (help, completion, an unknown option, a wrong value) goes to click, which words it.
"""

import posix
import sys

from pyrunc import __version__, log
from pyrunc.cli import derived
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
TRUE, FALSE = ("true", "1", "t", "T", "TRUE", "True"), ("false", "0", "f", "F", "FALSE", "False")


class Unusual(Exception):
    """Not for the table."""


def _options(args: "list[str]", table: "dict[str, Any]", values: "dict[str, Any]", first_only: bool) -> "list[str]":
    """Takes the options out of ``args`` into ``values``; returns the rest. As Go's flags: one dash or two,
    ``--name=value``, ``--flag=false``."""
    rest: list[str] = []
    at = 0
    while at < len(args):
        word = args[at]
        at += 1
        if word == "--":
            return rest + args[at:]
        if word[:1] != "-" or word == "-":
            rest.append(word)
            if first_only:
                return rest + args[at:]
            continue
        name, equals, value = word.partition("=")
        if name not in table:
            name = "-" + name
        if name not in table:
            raise Unusual
        attribute, kind, _ = table[name]
        if kind == "flag":
            if equals and value not in TRUE + FALSE:
                raise Unusual
            values[attribute] = not equals or value in TRUE
            continue
        if not equals:
            if at == len(args):
                raise Unusual
            value = args[at]
            at += 1
        values[attribute] = (*values[attribute], value) if kind == "several" else _value(kind, value)
    return rest


def _value(kind: "Any", text: str) -> "Any":
    if kind == "str":
        return text
    if kind == "int" and text.lstrip("-").isdigit() and text.isascii():
        return int(text)
    if kind == "float" and text.replace(".", "", 1).isdigit():
        return float(text)
    if type(kind) is tuple and text in kind:
        return text
    raise Unusual


def _defaults(table: "dict[str, Any]") -> "dict[str, Any]":
    return {attribute: default for attribute, _, default in table.values()}


def parse(args: "Sequence[str]") -> "tuple[str, dict[str, Any], dict[str, Any]]":
    """(command, the global options, its own); raises Unusual."""
    common = _defaults(GLOBAL)
    rest = _options(list(args), GLOBAL, common, first_only=True)
    if not rest or rest[0] not in COMMANDS:
        raise Unusual
    name = rest[0]
    table, arguments, first_only = COMMANDS[name]
    values = _defaults(table)
    words = _options(rest[1:], table, values, first_only)
    for argument in arguments:
        attribute = argument.rstrip("*?")
        if argument.endswith("*"):
            values[attribute] = tuple(words)
            words = []
        elif words:
            values[attribute] = words.pop(0)
        elif argument.endswith("?"):
            values[attribute] = None
        else:
            raise Unusual
    if words:
        raise Unusual
    return name, common, values


def default_root() -> str:
    """/run/pyrunc, or for a user the directory that the login session has."""
    directory = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    return f"{directory}/pyrunc" if posix.geteuid() != 0 and directory else "/run/pyrunc"


def begin(values: "dict[str, Any]") -> None:
    """What the global options ask for, on either path."""
    log.configure(values["log"], values["log_format"], values["log_level"], values["debug"])
    if values["rootless"] not in (*TRUE, *FALSE, "auto"):
        raise PyruncError(f"--rootless {values['rootless']}: is not auto, true or false")
    values["root"] = values["root"] or default_root()


def version() -> str:
    """What engines read: ``NAME version X`` and ``commit: Y``."""
    from pyrunc.container.helper import BINARIES
    from pyrunc.container.process import read

    try:
        commit = read(f"{BINARIES}/commit").decode().strip()
    except OSError:
        commit = "unknown"
    from pyrunc.ffi import _seccomp

    return f"pyrunc version {__version__}\ncommit: {commit}\nspec: 1.3.0\nlibseccomp: {_seccomp_version(_seccomp)}"


def _seccomp_version(module: "Any") -> str:
    found = module.lib.seccomp_version()
    return f"{found.major}.{found.minor}.{found.micro}"


def _by_click(args: "list[str]") -> int:
    import click

    from pyrunc.cli.main import cli

    try:
        result = cli.main(args, prog_name="pyrunc", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "pyrunc"
        raise PyruncError(f"{error.format_message()} (see {path} --help)") from None
    except click.Abort:
        return 130
    return result if isinstance(result, int) else 0


def run(args: "list[str]") -> int:
    """Runs one command line; returns the exit status. Errors are told, never raised."""
    failed = 1
    try:
        try:
            if b"_PYRUNC_COMPLETE" in posix.environ:
                raise Unusual
            name, common, own = parse(args)
        except Unusual:
            failed = EXEC_FAILED if "exec" in args else 1
            return _by_click(args)
        failed = EXEC_FAILED if name == "exec" else 1
        begin(common)
        module = __import__(f"pyrunc.commands.{name.replace('-', '_')}", fromlist=["run"])
        return int(module.run(Options({**common, **own})) or 0)
    except PyruncError as error:
        log.error(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return failed
    except Exception as error:
        log.error(_unexpected(error))
    return failed


def _unexpected(error: Exception) -> str:
    """A failure that nobody foresaw, in one line; --debug has the rest."""
    import traceback

    log.debug("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"internal error: {type(error).__name__}: {error}"


def main() -> "NoReturn":
    """Never returns: what the interpreter would tear down, the kernel does faster."""
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1
    posix._exit(status)
