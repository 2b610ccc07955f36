"""`pyrunc list`."""

from pyrunc.container.container import Container
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def run(options: "Any") -> int:
    """Prints ids, a table, or JSON with runc's keys."""
    containers = Container.all(options.root)
    if options.quiet:
        for container in containers:
            print(container.id)
        return 0
    states = [container.state() for container in containers]
    if options.format == "json":
        print(dumps(states or None))
        return 0
    rows = [COLUMNS, *(tuple(str(state[column.lower()]) for column in COLUMNS) for state in states)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = [cell.ljust(width + 2) for cell, width in zip(row, widths, strict=True)]
        print("".join(cells).rstrip())
    return 0
