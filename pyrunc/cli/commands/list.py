"""`pyrunc list`."""

import posix

from pyrunc import log
from pyrunc.cli.options import Command, Option, flag
from pyrunc.container.container import Container
from pyrunc.container.store import ids
from pyrunc.errors import NoSuchContainer, PyruncError
from pyrunc.linux.files import read
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


COMMAND = Command(
    "list",
    "List the containers of the state directory.",
    (),
    (
        Option("--format", "-f", kind=("table", "json"), default="table", help="How to print them."),
        flag("--quiet", "-q", help="Only the ids."),
    ),
)


COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
NARROWEST, GAP = 12, 3
"""Width and padding of columns, the same as runc's, because scripts cut the output by position."""


def states(root: str) -> "Iterator[dict[str, Any]]":
    """Yields the state of every container. Logs a warning for one that cannot be read, and continues."""
    for container_id in ids(root):
        try:
            container = Container.load(container_id, root)
            yield {**container.state(), "owner": user_name(container.owner)}
        except NoSuchContainer:
            if _is_directory(f"{root}/{container_id}"):  # otherwise it has just been deleted
                log.warning(f"load container {container_id}: no state.json, only `delete --force` can be done with it")
        except PyruncError as error:
            log.warning(f"load container {container_id}: {error}")
        except (LookupError, TypeError, ValueError) as error:
            log.warning(f"load container {container_id}: state.json is damaged: {type(error).__name__} {error}")


def user_name(uid: int) -> str:
    """Returns the user's name from /etc/passwd, or ``#`` and the number if it has none, as runc does."""
    try:
        lines = read("/etc/passwd").decode("utf-8", "surrogateescape").split("\n")
    except OSError:
        lines = []
    return next((line.split(":")[0] for line in lines if line.split(":")[2:3] == [str(uid)]), f"#{uid}")


def _is_directory(path: str) -> bool:
    try:
        posix.close(posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC))
    except OSError:
        return False
    return True


def table(rows: "list[tuple[str, ...]]") -> str:
    """Formats ``rows`` as lines of columns. The last column is not padded."""
    widths = [max(NARROWEST, max(map(len, column)) + GAP) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    return "\n".join("".join(map(str.ljust, row, widths)) for row in rows)


def run(options: "Any") -> int:
    """Prints ids, a table, or JSON with runc's keys."""
    found = list(states(options.root))
    if options.quiet:
        for state in found:
            print(state["id"])
    elif options.format == "json":
        print(dumps(found or None))
    else:
        print(table([COLUMNS, *(tuple(str(state[name.lower()]) for name in COLUMNS) for state in found)]))
    return 0
