"""`pyrunc delete`."""

from pyrunc.cli.command import ID, Command, flag

command = Command(
    "delete",
    "Remove a stopped container: its cgroups and its state.",
    ID,
    flag("--force", "-f", help="Kill it first; a container that does not exist is no error."),
    flag("--regex", help="ID is a regular expression; every container that it matches."),
)
