"""`pyrunc restore`."""

from pyrunc.cli.command import (
    BUNDLE,
    CONSOLE_SOCKET,
    CRIU,
    DETACH,
    NEW_ID,
    NO_PIVOT,
    NO_SUBREAPER,
    PID_FILE,
    Command,
    option,
)

command = Command(
    "restore",
    "Bring a checkpointed container back with CRIU.",
    NEW_ID,
    *CRIU,
    *(BUNDLE, DETACH, PID_FILE, CONSOLE_SOCKET, NO_PIVOT, NO_SUBREAPER),
    option("--lsm-profile", metavar="TYPE:PROFILE", help="An LSM profile instead of the image's."),
    option("--lsm-mount-context", metavar="CONTEXT", help="A mount context instead of the image's."),
)
