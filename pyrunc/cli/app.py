"""The command line as click has it, made from the commands' tables: help, completion, and words for what is wrong."""

from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

from pyrunc.cli import invoke, parser
from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.options import GLOBAL, Argument, Option, flag
from pyrunc.cli.options import Command as Table

TYPES: dict[Any, Any] = {"int": int, "float": float, "positive": click.IntRange(1)}


class Command(click.Command):
    """`pyrunc NAME`, of its table."""

    def __init__(self, table: Table) -> None:
        params = [*map(_argument, table.arguments), *map(_option, table.options)]
        settings = {"allow_interspersed_args": not table.stops}
        super().__init__(table.name, params=params, help=table.help, context_settings=settings)
        self.table = table

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, rest = canonical(self, ctx, args, self.table.options)
        return super().parse_args(ctx, [*options, "--", *rest])

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
    elif option.kind == "several":
        settings["multiple"] = True
    elif isinstance(option.kind, tuple):
        settings |= {"type": click.Choice(option.kind), "show_default": option.default is not None}
    else:
        settings["type"] = TYPES.get(option.kind, str)
    if option.kind not in ("flag", "several"):
        settings["default"] = option.default
    return click.Option([*option.names, option.attribute], **settings)


def canonical(
    command: click.Command, ctx: click.Context, args: list[str], options: "tuple[Option, ...] | Any"
) -> tuple[list[str], list[str]]:
    """(options, arguments) of words in Go's manner, each option in the one spelling that click reads the same way:
    ``--name=value``, or ``--flag``."""
    table = {name: option for option in options for name in option.names}
    for own in command.get_params(ctx):  # --help and --version, which are click's alone
        if isinstance(own, click.Option) and own.opts[0] not in table:
            table |= dict.fromkeys(own.opts, flag(*own.opts, help=""))
    given, rest = parser.read(args, table, not ctx.allow_interspersed_args)
    out: list[str] = []
    for name, value in given:
        if name not in table:
            if not ctx.resilient_parsing:  # completion sees unfinished words
                unknown = name.partition("=")[0]
                raise click.NoSuchOption(unknown, possibilities=get_close_matches(unknown, table), ctx=ctx)
        elif table[name].kind == "flag":
            # The last one counts; click has no word for "off".
            out = [word for word in out if word != table[name].names[0]]
            if value is None or value in parser.TRUE:
                out.append(table[name].names[0])
            elif value not in parser.FALSE:
                raise click.BadOptionUsage(name, f"Option '{name}': '{value}' is neither true nor false.", ctx)
        elif value is not None:
            out.append(f"{table[name].names[0]}={value}")
        elif not ctx.resilient_parsing:
            raise click.BadOptionUsage(name, f"Option '{name}' requires an argument.", ctx)
    return out, rest


def _ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The containers that exist, for completion."""
    from pyrunc.container.store import ids

    root = ctx.parent.params.get("root") if ctx.parent else None
    return [CompletionItem(name) for name in ids(root or parser.default_root()) if name.startswith(incomplete)]


class Commands(click.Group):
    """Imports a command's table when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ("help", "h"):  # runc has it beside --help
            return _help
        return Command(parser.definition(cmd_name)) if cmd_name in COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, rest = canonical(self, ctx, args, GLOBAL)
        return super().parse_args(ctx, options + rest)


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
        raise click.UsageError(f"No such command {command!r}.", above)
    click.echo(wanted.get_help(click.Context(wanted, above, command)))


@click.pass_context
def _begin(context: click.Context, /, **parameters: Any) -> None:
    context.obj = parameters
    invoke.begin(parameters)


VERSION = click.Option(
    ["--version", "-v"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)

cli = Commands(
    "pyrunc",
    help="pyrunc runs containers as the OCI runtime-spec describes them.",
    epilog="What a command does and takes: pyrunc COMMAND --help",
    callback=_begin,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND [OPTIONS] [ARGS]...",
    params=[*map(_option, GLOBAL), VERSION],
)
