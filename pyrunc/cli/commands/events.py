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
"""Digits of the longest number that is accepted."""
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Parses a Go duration (time.ParseDuration): ``5s``, ``1m30s``, ``1.5h``. PyruncError if it is not one, or not
    above 0."""
    number = unit = ""
    total = 0.0
    for character in f"{text.removeprefix('+')} ":
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


def written(data: "dict[str, Any]") -> "dict[str, Any]":
    """Returns statistics in runc's form: most counters that are 0 are left out, and so are sections that are then
    empty."""
    cpu, memory = data["cpu"], data["memory"]
    made = {
        "cpu": {**cpu, "usage": _counted(cpu["usage"], "kernel", "user"), "throttling": _counted(cpu["throttling"])},
        "cpuset": {key: value for key, value in data["cpuset"].items() if value or key not in ("cpus", "mems")},
        "memory": {
            key: _counted(part, "limit", "failcnt") if "limit" in part else part for key, part in _dicts(memory)
        },
        "pids": _counted(data["pids"]),
        "blkio": {
            key: [_counted(entry) for entry in part] if isinstance(part, list) else part
            for key, part in data["blkio"].items()
        },
        "hugetlb": {size: {"failcnt": 0, **_counted(part)} for size, part in data["hugetlb"].items()},
        "network_interfaces": data["network_interfaces"] or None,
        "intel_rdt": data["intel_rdt"],
    }
    if memory.get("cache"):
        made["memory"]["cache"] = memory["cache"]
    for section in ("cpu", "memory", "blkio"):
        made[section] = {key: part for key, part in made[section].items() if part}
    return made


def _dicts(section: "dict[str, Any]") -> "list[tuple[str, dict[str, Any]]]":
    return [(key, part) for key, part in section.items() if isinstance(part, dict)]


def _counted(counts: "dict[str, Any]", *kept: str) -> "dict[str, Any]":
    """Returns the counters that are not 0, and those in ``kept``. Empty if all counters are 0."""
    return {key: count for key, count in counts.items() if count or key in kept} if any(counts.values()) else {}


def run(options: "Any") -> int:
    """Prints one JSON object per line."""
    interval = seconds(options.interval)
    container = Container.load(options.container_id, options.root)
    if options.stats:
        print(dumps({"type": "stats", "id": container.id, "data": written(container.stats())}))
        return 0
    for event in container.events(interval):
        shown = {**event, "data": written(event["data"])} if "data" in event else event
        print(dumps(shown), flush=True)
    return 0
