"""`pyrunc delete`."""

from pyrunc.cli.command import command, container_id, flag


@command("delete")
@container_id
@flag("--force", "-f", help="Kill it first; a container that does not exist is no error.")
@flag("--regex", help="ID is a regular expression; every container that it matches.")
def delete() -> None:
    """Remove a stopped container: its cgroups and its state."""
