"""`pyrunc kill`."""

from pyrunc.cli.options import ID, Argument, Command, flag
from pyrunc.container.kill import kill
from pyrunc.container.record import Record
from pyrunc.container.store import matching
from pyrunc.linux.signals import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "kill",
    "Send a signal (SIGTERM unless given) to the container's init.",
    (ID, Argument("signal", "optional")),
    (
        flag("--all", "-a", help="To every process of the container, also when its init has ended."),
        flag("--regex", help="ID is a regular expression; every container that it matches."),
    ),
    hot=True,
)


def run(options: "Any") -> int:
    """Sends a signal (default SIGTERM) to init, or with --all to every process."""
    signal = number(options.signal or "SIGTERM")
    matched = matching(options.root, options.container_id) if options.regex else [options.container_id]
    for container_id in matched:
        kill(Record.load(options.root, container_id), signal, bool(options.all))
    return 0
