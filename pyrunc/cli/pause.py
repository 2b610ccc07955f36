"""`pyrunc pause`."""

from pyrunc.cli.command import ID, Command

command = Command("pause", "Freeze every process of a container.", ID)
