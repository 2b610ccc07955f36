"""`pyrunc features`."""

from pyrunc.cli.command import command


@command("features")
def features() -> None:
    """Print what this pyrunc can do, as the runtime-spec's features document."""
