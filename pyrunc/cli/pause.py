"""`pyrunc pause`."""

from pyrunc.cli.command import command, container_id


@command("pause")
@container_id
def pause() -> None:
    """Freeze every process of a container."""
