"""`pyrunc ps`."""

import click

from pyrunc.cli.command import OPTIONS_FIRST, command, container_id, option


@command("ps", context_settings=OPTIONS_FIRST)
@container_id
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@option("--format", "-f", type=click.Choice(["table", "json"]), default="table", help="A table, or an array of pids.")
def ps() -> None:
    """List the processes of a container; what follows ID goes to ps(1)."""
