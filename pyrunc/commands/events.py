"""`pyrunc events`."""

from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Of a Go duration with one unit: ``5s``, ``500ms``, ``1m``."""
    for unit in ("ms", "s", "m", "h"):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit() and float(number) > 0:
            return float(number) * UNITS[unit]
    raise PyruncError(f"--interval {text!r}: is not a duration such as 5s")


def run(options: "Any") -> int:
    """Prints one JSON object a line."""
    container = Container.load(options.container_id, options.root)
    if options.stats:
        print(dumps({"type": "stats", "id": container.id, "data": container.stats()}))
        return 0
    for event in container.events(seconds(options.interval)):
        print(dumps(event), flush=True)
    return 0
