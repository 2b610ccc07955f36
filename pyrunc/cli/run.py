"""`pyrunc run`."""

from pyrunc.cli.command import CREATING, DETACH, NEW_ID, NO_SUBREAPER, Command, flag

command = Command(
    "run",
    "Create and start a container, in the foreground unless detached; exits with its status.",
    NEW_ID,
    DETACH,
    flag("--keep", help="Keep the container's state when it has ended."),
    NO_SUBREAPER,
    *CREATING,
)
