"""`pyrunc kill`."""

import click

from pyrunc.cli.command import command, container_id, flag


@command("kill")
@container_id
@click.argument("signal", required=False)
@flag("--all", "-a", help="To every process of the container, also when its init has ended.")
@flag("--regex", help="ID is a regular expression; every container that it matches.")
def kill() -> None:
    """Send a signal (SIGTERM unless given) to the container's init."""
