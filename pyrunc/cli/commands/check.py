"""`pyrunc check`."""

from pyrunc.cli.options import Command, Option
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "check",
    "Try what containers need on this host, for this user, and say how to get what is missing.",
    (),
    (Option("--format", "-f", kind=("table", "json"), default="table", help="How to print it."),),
)


def run(options: "Any") -> int:
    """Returns 1 if a container cannot run on this host, 0 otherwise."""
    from pyrunc.hostcheck import cgroups, container, kernel, programs, user
    from pyrunc.hostcheck.rows import NO, table

    rows = [*kernel.rows(), *cgroups.rows(), *user.rows(options.root), *programs.rows(), *container.rows()]
    print(dumps([row.data() for row in rows], 2) if options.format == "json" else table(rows))
    return int(any(row.required and row.works == NO for row in rows))
