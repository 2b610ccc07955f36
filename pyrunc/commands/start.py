"""`pyrunc start`."""

from pyrunc.commands.preserve import notify_socket
from pyrunc.container.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Lets the created container's init execute the user's program."""
    Container.load(options.container_id, options.root).start(notify_socket())
    return 0
