"""`pyrunc pause`."""

from pyrunc.cli.options import ID, Command
from pyrunc.container.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "pause",
    "Freeze every process of a container.",
    (ID,),
    (),
)


def run(options: "Any") -> int:
    """Pauses every process of the container."""
    Container.load(options.container_id, options.root).pause()
    return 0
