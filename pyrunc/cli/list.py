"""`pyrunc list`."""

import click

from pyrunc.cli.command import command, flag, option


@command("list")
@option("--format", "-f", type=click.Choice(["table", "json"]), default="table", help="How to print them.")
@flag("--quiet", "-q", help="Only the ids.")
def list_() -> None:
    """List the containers of the state directory."""
