"""`pyrunc events`."""

from pyrunc.cli.options import ID, Command, Option, flag
from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "events",
    "Print statistics and out-of-memory notices as JSON.",
    (ID,),
    (
        Option("--interval", default="5s", metavar="DURATION", help="Time between two statistics."),
        flag("--stats", help="One statistic, then end."),
    ),
)


LONGEST = 20
"""Digits of a number."""
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Of a Go duration (time.ParseDuration): ``5s``, ``1m30s``, ``1.5h``. PyruncError unless it is one, above 0."""
    number = unit = ""
    total = 0.0
    for character in f"{text} ":
        if character.isascii() and (character.isdigit() or character == "."):
            if unit:
                total, number, unit = total + _part(text, number, unit), "", ""
            number += character
        else:
            unit += character
    total += _part(text, number, unit[:-1])
    if total <= 0:
        raise PyruncError(f"--interval {text!r}: must be greater than 0")
    return total


def _part(text: str, number: str, unit: str) -> float:
    if unit not in UNITS or not number.replace(".", "", 1).isdigit() or len(number) > LONGEST:
        raise PyruncError(f"--interval {text[:40]!r}: is not a duration such as 5s or 1m30s")
    return float(number) * UNITS[unit]


def run(options: "Any") -> int:
    """Prints one JSON object a line."""
    container = Container.load(options.container_id, options.root)
    if options.stats:
        print(dumps({"type": "stats", "id": container.id, "data": container.stats()}))
        return 0
    for event in container.events(seconds(options.interval)):
        print(dumps(event), flush=True)
    return 0
