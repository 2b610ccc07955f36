"""`pyrunc events`."""

from pyrunc.cli.command import ID, Command, flag, option

command = Command(
    "events",
    "Print statistics and out-of-memory notices as JSON.",
    ID,
    option("--interval", default="5s", show_default=True, metavar="DURATION", help="Time between two statistics."),
    flag("--stats", help="One statistic, then end."),
)
