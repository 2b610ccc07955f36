"""`pyrunc list`."""

from pyrunc.cli.command import Command, choice, flag

command = Command(
    "list",
    "List the containers of the state directory.",
    choice("--format", "-f", of=["table", "json"], default="table", help="How to print them."),
    flag("--quiet", "-q", help="Only the ids."),
)
