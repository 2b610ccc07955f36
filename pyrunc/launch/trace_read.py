"""Reads a file that --trace wrote, in either format."""

from pyrunc.errors import PyruncError
from pyrunc.launch.trace import LANES, WAITS, runtime_waits
from pyrunc.plan.steps import HELPER, RUNTIME
from pyrunc.spec.json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LARGEST = 64 << 20
"""The largest file that is read, in bytes. A plan of 1,000 mounts has half a megabyte."""
LONGEST = 1e18
"""Nanoseconds. No trace takes thirty years."""
NOT_A_TRACE = "is not what --trace writes"


class Bar:
    """A step or a wait. ``lane``: its actor; ``kind``: the step kind; ``where``: the place in config.json that the step
    comes from; ``start``, ``ns``: nanoseconds; ``wait``: the actor waits for the other one."""

    def __init__(self, lane: str, kind: str, where: str, times: "tuple[float, float]", wait: bool = False) -> None:
        self.lane, self.kind, self.where, self.wait = lane, kind, where, wait
        self.start, self.ns = times


def read_trace(path: str) -> "list[Bar]":
    """Returns the bars in the file ``path``, sorted by start; the first starts at 0. Raises PyruncError with a one-line
    message if the file cannot be read or is not a trace with times."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise PyruncError(f"{path}: {(error.strerror or '').lower()}") from None
    try:
        if len(data) > LARGEST:
            raise ValueError(f"is larger than {LARGEST >> 20} MiB")
        content = loads(data)
        events = content.get("traceEvents") if isinstance(content, dict) else content
        if not isinstance(events, list):
            raise ValueError(NOT_A_TRACE)
        # The trace-event format also allows a bare array. Each of its events has a phase.
        found = list(_of_events(events) if any("ph" in _object(event) for event in events) else _of_table(events))
        if not found:
            raise ValueError("has no times in it")
    except ValueError as error:
        raise PyruncError(f"{path}: {error}") from None
    first = min(bar.start for bar in found)
    for bar in found:
        bar.start -= first
    return sorted(found, key=lambda bar: bar.start)


def _of_table(rows: "list[Any]") -> "Iterator[Bar]":
    for row in rows:
        if not {"actor", "kind", "where", "ns"} <= set(_object(row)) or row["actor"] not in LANES:
            raise ValueError(NOT_A_TRACE)
        if "start" not in row:
            raise ValueError("has no start times: an older pyrunc wrote it")
        if row["ns"] is not None:
            yield Bar(row["actor"], _text(row["kind"]), _text(row["where"]), _times(row, "start", "ns", 1))
        if "wait" in row:
            yield Bar(HELPER, WAITS[HELPER], "", _times(_object(row["wait"]), "start", "ns", 1), wait=True)
    for span in runtime_waits(rows):
        yield Bar(RUNTIME, WAITS[RUNTIME], "", _times(span, "start", "ns", 1), wait=True)


def _of_events(events: "list[Any]") -> "Iterator[Bar]":
    """Yields the complete events of the two lanes. Other events, which a viewer may have added, are skipped."""
    lanes = {}
    for event in events:
        name = _object(event.get("args", {})).get("name")
        if event.get("ph") == "M" and event.get("name") == "thread_name" and name in LANES:
            lanes[_thread(event)] = name
    if not lanes:
        raise ValueError('is no trace of pyrunc\'s: no thread is called "runtime" or "helper"')
    for event in events:
        if event.get("ph") != "X" or _thread(event) not in lanes:
            continue
        where = _text(_object(event.get("args", {})).get("where", ""))
        times = _times(event, "ts", "dur", 1000)
        yield Bar(lanes[_thread(event)], _text(event.get("name")), where, times, event.get("cat") == "wait")


def _thread(event: "dict[str, Any]") -> "tuple[str, str]":
    return repr(event.get("pid")), repr(event.get("tid"))


def _object(value: "Any") -> "dict[str, Any]":
    if not isinstance(value, dict):
        raise ValueError(NOT_A_TRACE)
    return value


def _text(value: "Any") -> str:
    if not isinstance(value, str):
        raise ValueError(NOT_A_TRACE)
    return value


def _times(span: "dict[str, Any]", start: str, length: str, unit: int) -> "tuple[float, float]":
    """Returns both times in nanoseconds. ``unit``: the file's time unit in nanoseconds."""
    for name in (start, length):
        value = span.get(name)
        lowest = 0 if name == length else -LONGEST
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not lowest <= value * unit < LONGEST:
            raise ValueError(f"has a time that is none: {name} is {str(value)[:40]}")
    return span[start] * unit, span[length] * unit
