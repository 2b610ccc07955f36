"""`pyrunc trace`."""

import sys

from pyrunc.cli.options import Argument, Command, Option, flag
from pyrunc.errors import PyruncError
from pyrunc.launch.trace_read import read_trace
from pyrunc.launch.waterfall import svg
from pyrunc.linux.output import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "trace",
    "Draw what --trace wrote, in either format: the runtime's and the helper's steps, and their waits, against time.",
    (Argument("file", metavar="FILE"),),
    (
        Option("--output", "-o", default="", metavar="FILE", help="Where to write the picture (SVG); standard output."),
        flag("--all", help="A row for every step, also for those of less than 0.5 % of the time."),
    ),
)


def run(options: "Any") -> int:
    """Writes the picture to a file or to standard output."""
    picture = svg(read_trace(options.file), options.all)
    if not options.output:
        sys.stdout.write(picture)
        return 0
    try:
        replace(options.output, picture.encode())
    except OSError as error:
        raise PyruncError(f"--output {options.output}: {(error.strerror or '').lower()}") from None
    return 0
