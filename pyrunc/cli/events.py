"""`pyrunc events`."""

from pyrunc.cli.command import command, container_id, flag, option


@command("events")
@container_id
@option("--interval", default="5s", metavar="DURATION", help="Time between two statistics.")
@flag("--stats", help="One statistic, then end.")
def events() -> None:
    """Print statistics and out-of-memory notices as JSON."""
