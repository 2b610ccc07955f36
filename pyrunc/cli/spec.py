"""`pyrunc spec`."""

from pyrunc.cli.command import command, flag, option


@command("spec")
@option("--bundle", "-b", metavar="DIR", help="Where to write config.json.")
@flag("--rootless", help="For a user without privileges.")
def spec() -> None:
    """Write a config.json to start from."""
