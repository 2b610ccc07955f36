"""`pyrunc start`."""

from pyrunc.cli.inherited import notify_socket
from pyrunc.cli.options import ID, Command
from pyrunc.container.record import Record
from pyrunc.container.start import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "start",
    "Execute the program of a created container.",
    (ID,),
    (),
    hot=True,
)


def run(options: "Any") -> int:
    """Lets the created container's init execute the user's program."""
    start(Record.load(options.root, options.container_id), notify_socket())
    return 0
