"""The click parser, built from the commands' tables. It provides help, completion, and error messages."""

from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

from pyrunc.cli import invoke, parser
from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.exit_status import NO_SUCH_COMMAND
from pyrunc.cli.options import GLOBAL, REPEATABLE, Argument, Option, flag
from pyrunc.cli.options import Command as Table

ENDS = -(1 << 63), 1 << 63
"""The range of a signed 64-bit number; the upper end is excluded."""


class Integer(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A number in the syntax of Go's strconv.ParseInt. ``base`` 0 also accepts 0x10, 0b1, 0o7, 010, and 1_000."""

    name = "integer"

    def __init__(self, base: int) -> None:
        self.base = base

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        digits = text.lstrip("+-")
        octal = self.base == 0 and digits[:1] == "0" and digits[1:2].isdigit()
        try:
            found = int(text, 8 if octal else self.base)
        except ValueError:
            found = ENDS[1]
        plain = text.isascii() and text == text.strip() and (self.base == 0 or "_" not in text)
        if not plain or not ENDS[0] <= found < ENDS[1]:
            self.fail(f"{text[:40]!r} is not a valid integer.", param, ctx)
        return found


TYPES: dict[Any, Any] = {
    "int": Integer(0),
    "numbers": Integer(10),
    "float": float,
    "positive": click.IntRange(1),
}


class NoSuchCommand(click.UsageError):
    """An unknown command. It has its own exit status, as in runc."""

    exit_code = NO_SUCH_COMMAND


class Command(click.Command):
    """A click command made from the table of `pyrunc NAME`."""

    def __init__(self, table: Table) -> None:
        params = [*map(_argument, table.arguments), *map(_option, table.options)]
        settings = {"allow_interspersed_args": not table.stops}
        super().__init__(table.name, params=params, help=table.help, context_settings=settings)
        self.table = table

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, rest, flags = canonical(self, ctx, args, self.table.options)
        left = super().parse_args(ctx, [*options, "--", *rest])
        # click supports neither a flag with the value "off", nor one that distinguishes "off" from "not given".
        ctx.params.update(flags)
        return left

    def invoke(self, ctx: click.Context) -> int:
        return invoke.act(self.table.name, {**ctx.obj, **parser.resolve(self.table.options, ctx.params)})


def _argument(argument: Argument) -> click.Argument:
    settings: dict[str, Any] = {"metavar": argument.metavar or None, "required": argument.count == "one"}
    if argument.count == "rest":
        settings |= {"nargs": -1, "type": click.UNPROCESSED}
    if argument.container:
        settings["shell_complete"] = _ids
    return click.Argument([argument.attribute], **settings)


def _option(option: Option) -> click.Option:
    settings: dict[str, Any] = {"help": option.help, "hidden": option.hidden, "metavar": option.metavar or None}
    if option.kind == "flag":
        settings["is_flag"] = True
    elif option.kind in REPEATABLE:
        settings |= {"multiple": True, "type": TYPES.get(option.kind, str)}
    elif isinstance(option.kind, tuple):
        settings |= {"type": click.Choice(option.kind), "show_default": option.default is not None}
    else:
        settings["type"] = TYPES.get(option.kind, str)
    if option.kind not in ("flag", *REPEATABLE):
        settings["default"] = option.default
    return click.Option([*option.names, option.attribute], **settings)


def canonical(
    command: click.Command, ctx: click.Context, args: list[str], options: "tuple[Option, ...] | Any"
) -> tuple[list[str], list[str], dict[str, bool | None]]:
    """Converts words in Go's syntax; returns (options, arguments, flags by attribute). Each option is in the form that
    click parses the same way: ``--name=value``, or ``--flag``."""
    flags: dict[str, bool | None] = {option.attribute: option.default for option in options if option.kind == "flag"}
    table = {name: option for option in options for name in option.names}
    for own in command.get_params(ctx):  # --help and --version, which only click has
        if isinstance(own, click.Option) and own.opts[0] not in table:
            table |= dict.fromkeys(own.opts, flag(*own.opts, help=""))
    given, rest = parser.read(args, table, not ctx.allow_interspersed_args)
    out: list[str] = []
    for name, value in given:
        if name not in table:
            if not ctx.resilient_parsing:  # completion passes incomplete words
                unknown = name.partition("=")[0]
                raise click.NoSuchOption(unknown, possibilities=get_close_matches(unknown, table), ctx=ctx)
        elif table[name].kind == "flag":
            if value is not None and value not in (*parser.TRUE, *parser.FALSE):
                raise click.BadOptionUsage(name, f"Option '{name}': '{value}' is neither true nor false.", ctx)
            given_on = value is None or value in parser.TRUE
            if table[name].attribute in flags:
                flags[table[name].attribute] = given_on  # the last occurrence applies
            elif given_on:
                out.append(table[name].names[0])
        elif value is not None:
            out.append(f"{table[name].names[0]}={value}")
        elif not ctx.resilient_parsing:
            raise click.BadOptionUsage(name, f"Option '{name}' requires an argument.", ctx)
    return out, rest, flags


def _ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the ids of the existing containers, for completion."""
    from pyrunc.container.store import ids

    root = ctx.parent.params.get("root") if ctx.parent else None
    return [CompletionItem(name) for name in ids(root or parser.default_root()) if name.startswith(incomplete)]


class Commands(click.Group):
    """The group of all commands. Imports a command's table only if it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ("help", "h"):  # runc has this command in addition to --help
            return _help
        return Command(parser.definition(cmd_name)) if cmd_name in COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, rest, flags = canonical(self, ctx, args, GLOBAL)
        left = super().parse_args(ctx, options + rest)
        ctx.params.update(flags)
        return left

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            raise NoSuchCommand(f"No such command {args[0]!r}.", ctx)
        return super().resolve_command(ctx, args)


def _version(context: click.Context, _: Any, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(invoke.version())
        context.exit()


@click.command("help", params=[click.Argument(["command"], required=False)])
@click.pass_context
def _help(context: click.Context, command: str | None) -> None:
    """The same as --help, of a command or of all."""
    above = context.parent
    assert above is not None
    if command is None:
        click.echo(above.get_help())
        return
    wanted = cli.get_command(above, command)
    if wanted is None:
        raise NoSuchCommand(f"No such command {command!r}.", above)
    click.echo(wanted.get_help(click.Context(wanted, above, command)))


@click.pass_context
def _begin(context: click.Context, /, **parameters: Any) -> None:
    context.obj = parameters
    invoke.begin(parameters)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


VERSION = click.Option(
    ["--version", "-v"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)

cli = Commands(
    "pyrunc",
    help="pyrunc runs containers as the OCI runtime-spec describes them.",
    epilog="What a command does and takes: pyrunc COMMAND --help",
    callback=_begin,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND [OPTIONS] [ARGS]...",
    params=[*map(_option, GLOBAL), VERSION],
)
