"""`pyrunc resume`."""

from pyrunc.cli.command import ID, Command

command = Command("resume", "Let the processes of a paused container run again.", ID)
