"""`pyrunc spec`."""

from pyrunc.cli.command import Command, flag, option

command = Command(
    "spec",
    "Write a config.json to start from.",
    option("--bundle", "-b", metavar="DIR", help="Where to write it; the current directory unless given."),
    flag("--rootless", help="For a user without privileges."),
)
