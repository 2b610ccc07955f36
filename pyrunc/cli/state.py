"""`pyrunc state`."""

from pyrunc.cli.command import ID, Command

command = Command("state", "Print the container's state as JSON.", ID)
