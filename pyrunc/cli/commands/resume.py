"""`pyrunc resume`."""

from pyrunc.cli.options import ID, Command
from pyrunc.container.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "resume",
    "Let the processes of a paused container run again.",
    (ID,),
    (),
)


def run(options: "Any") -> int:
    """Resumes every process of the container."""
    Container.load(options.container_id, options.root).resume()
    return 0
