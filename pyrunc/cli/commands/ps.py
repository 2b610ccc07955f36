"""`pyrunc ps`."""

from pyrunc.cli.options import ID, WORDS, Command, Option
from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any


COMMAND = Command(
    "ps",
    "List the processes of a container; what follows ID goes to ps(1).",
    (ID, WORDS),
    (Option("--format", "-f", kind=("table", "json"), default="table", help="A table, or an array of pids."),),
    stops=True,
)


def run(options: "Any") -> int:
    """Prints the container's processes: an array of pids, or the lines of ps(1) for these pids."""
    pids = Container.load(options.container_id, options.root).processes()
    if options.format == "json":
        print(dumps(pids or None))  # as runc, which prints null for an empty list
        return 0
    for line in chosen(listing(options.args or ("-ef",)), set(pids)):
        print(line)
    return 0


def listing(args: "Sequence[str]") -> "list[str]":
    """Runs ps(1); returns the lines that it prints. PyruncError with its message if it fails."""
    from pyrunc.linux import programs

    try:
        done = programs.run(["ps", *args])
    except FileNotFoundError:
        raise PyruncError("ps: executable file not found in $PATH") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).decode("utf-8", "surrogateescape").split("\n")
        raise PyruncError(f"ps {' '.join(args)}: {next(filter(None, map(str.strip, lines)), 'failed')}")
    # Split at \n only: a command line may contain any byte, also others at which str.splitlines would split.
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n").split("\n")


def chosen(lines: "list[str]", pids: "Collection[int]") -> "list[str]":
    """Returns the title line, and the lines whose PID is in ``pids``. PyruncError if there is no column PID."""
    titles = lines[0].split()
    if "PID" not in titles:
        raise PyruncError("couldn't find PID field in ps output")
    column = titles.index("PID")
    return [lines[0], *(line for line in lines[1:] if _number(line.split()[column : column + 1]) in pids)]


def _number(cell: "list[str]") -> int:
    return int(cell[0]) if cell and cell[0].isascii() and cell[0].isdigit() else 0
