"""`pyrunc features`."""

from pyrunc.cli.command import Command

command = Command("features", "Print what this pyrunc can do, as the runtime-spec's features document.")
