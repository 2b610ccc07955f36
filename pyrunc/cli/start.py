"""`pyrunc start`."""

from pyrunc.cli.command import command, container_id


@command("start")
@container_id
def start() -> None:
    """Execute the program of a created container."""
