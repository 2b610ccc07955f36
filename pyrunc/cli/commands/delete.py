"""`pyrunc delete`."""

from pyrunc.cli.options import ID, Command, flag
from pyrunc.container.delete import delete, remove
from pyrunc.container.record import Record
from pyrunc.container.store import matching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "delete",
    "Remove a stopped container: its cgroups and its state.",
    (ID,),
    (
        flag("--force", "-f", help="Kill it first; a container that does not exist is no error."),
        flag("--regex", help="ID is a regular expression; every container that it matches."),
    ),
    hot=True,
)


def run(options: "Any") -> int:
    """Removes stopped containers. With --force removes them in any state, and ignores one that does not exist."""
    matched = matching(options.root, options.container_id) if options.regex else [options.container_id]
    for container_id in matched:
        if options.force:
            remove(options.root, container_id)
        else:
            delete(Record.load(options.root, container_id), False)
    return 0
