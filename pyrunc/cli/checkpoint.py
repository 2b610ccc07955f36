"""`pyrunc checkpoint`."""

from pyrunc.cli.command import CRIU, ID, Command, flag, option

command = Command(
    "checkpoint",
    "Write a running container to disk with CRIU.",
    ID,
    *CRIU,
    option("--parent-path", metavar="DIR", help="The image before, of a pre-dump; relative to the image."),
    flag("--leave-running", help="The container goes on."),
    option("--page-server", metavar="ADDRESS:PORT", help="CRIU's page server."),
    flag("--tcp-skip-in-flight", help="Leave TCP connections out that are not established yet."),
    flag("--pre-dump", help="Memory only, the container goes on."),
    option("--status-fd", type=int, metavar="FD", help="Told when lazy pages can be asked for."),
)
