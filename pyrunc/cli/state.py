"""`pyrunc state`."""

from pyrunc.cli.command import command, container_id


@command("state")
@container_id
def state() -> None:
    """Print the container's state as JSON."""
