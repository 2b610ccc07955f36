"""`pyrunc plan`."""

import click

from pyrunc.cli.command import command, option


@command("plan")
@option("--bundle", "-b", metavar="DIR", help="The bundle's directory; the current one unless given.")
@option("--config", "-f", metavar="FILE", help="The config; config.json in the bundle unless given.")
@option("--format", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
def plan() -> None:
    """Print every step that creating the container would take, in order. Touches nothing, needs no root."""
