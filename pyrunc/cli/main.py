"""The tree of commands, with the options that stand before the command."""

from importlib import import_module
from typing import Any

import click

from pyrunc.cli.command import canonical, choice, flag, option

COMMANDS = (
    *("create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause", "resume", "update", "events"),
    *("checkpoint", "restore", "spec", "features", "plan", "verify-preload", "audit-lib"),
)


def definition(name: str) -> click.Command:
    """The click command called ``name``."""
    command: click.Command = import_module(f"pyrunc.cli.{name.replace('-', '_')}").command
    return command


class Commands(click.Group):
    """Imports a command's definition when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ("help", "h"):  # runc has it beside --help
            return _help
        return definition(cmd_name) if cmd_name in COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, rest = canonical(self, ctx, args)
        return super().parse_args(ctx, options + rest)


def _version(context: click.Context, _: Any, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from pyrunc.main import version

        click.echo(version())
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
    from pyrunc.main import begin

    context.obj = parameters
    begin(parameters)


cli = Commands(
    "pyrunc",
    help="pyrunc runs containers as the OCI runtime-spec describes them.",
    epilog="What a command does and takes: pyrunc COMMAND --help",
    callback=_begin,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND [OPTIONS] [ARGS]...",
    params=[
        option("--root", metavar="DIR", help="State directory: /run/pyrunc, or $XDG_RUNTIME_DIR/pyrunc when not root."),
        option("--log", metavar="FILE", help="Where to log; standard error unless given."),
        choice("--log-format", of=["text", "json"], default="text", help="How to log."),
        option("--log-level", metavar="LEVEL", help="debug, info, warning or error."),
        flag("--debug", help="Log everything."),
        flag("--systemd-cgroup", help="Have systemd make the cgroups (cgroupsPath is slice:prefix:name)."),
        choice(
            "--cgroup-manager",
            of=["cgroupfs", "systemd", "disabled"],
            default="cgroupfs",
            help="Who makes the cgroups.",
        ),
        option(
            "--rootless", default="auto", metavar="auto|true|false", help="Whether to do without root's privileges."
        ),
        option("--criu", metavar="PATH", hidden=True, help="Accepted for old engines; criu is found in $PATH."),
        click.Option(
            ["--version", "-v"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_version,
            help="Print the version.",
        ),
    ],
)
