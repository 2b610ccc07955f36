"""`pyrunc create`."""

from pyrunc.cli.command import command, container_id, creating


@command("create")
@container_id
@creating
def create() -> None:
    """Create a container: everything but its program, which `start` executes."""
