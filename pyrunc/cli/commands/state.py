"""`pyrunc state`."""

from pyrunc import log
from pyrunc.cli.options import ID, Command
from pyrunc.container.record import Record
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "state",
    "Print the container's state as JSON.",
    (ID,),
    (),
    hot=True,
)


def run(options: "Any") -> int:
    """Prints the state (runtime-spec runtime.md "State"), indented as in runc."""
    log.out(dumps(Record.load(options.root, options.container_id).as_state(), 2))
    return 0
