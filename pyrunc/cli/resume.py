"""`pyrunc resume`."""

from pyrunc.cli.command import command, container_id


@command("resume")
@container_id
def resume() -> None:
    """Let the processes of a paused container run again."""
