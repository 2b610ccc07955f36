"""`pyrunc run`."""

from pyrunc.cli.command import command, container_id, creating, flag


@command("run")
@container_id
@flag("--detach", "-d", help="Leave the container running in the background.")
@flag("--keep", help="Keep the container's state when it has ended.")
@flag("--no-subreaper", help="Do not become the reaper of what the container leaves behind.")
@creating
def run() -> None:
    """Create and start a container, in the foreground unless detached; exits with its status."""
