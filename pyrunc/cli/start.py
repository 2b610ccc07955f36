"""`pyrunc start`."""

from pyrunc.cli.command import ID, Command

command = Command("start", "Execute the program of a created container.", ID)
