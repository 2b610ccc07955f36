"""`pyrunc kill`."""

import click

from pyrunc.cli.command import ID, Command, flag

command = Command(
    "kill",
    "Send a signal (SIGTERM unless given) to the container's init.",
    ID,
    click.Argument(["signal"], required=False),
    flag("--all", "-a", help="To every process of the container, also when its init has ended."),
    flag("--regex", help="ID is a regular expression; every container that it matches."),
)
