"""`pyrunc create`."""

from pyrunc.cli.command import CREATING, NEW_ID, Command

command = Command(
    "create", "Create a container: everything but its program, which `start` executes.", NEW_ID, *CREATING
)
