"""Writes the trace file (--trace): every step and its times, as a table or as trace events."""

from pyrunc.errors import PyruncError
from pyrunc.linux.output import replace
from pyrunc.plan.explain import table
from pyrunc.plan.steps import HELPER, RUNTIME
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.launch.conversation import Launch
    from pyrunc.plan.options import LaunchOptions

    Row = dict[str, Any]

LANES = (RUNTIME, HELPER)
WAITS = {RUNTIME: "wait for the helper", HELPER: "wait for the runtime"}
"""{actor: the name of its waits}."""


def write_trace(options: "LaunchOptions", launch: "Launch") -> None:
    """Writes the file of --trace in the format of --trace-format. Raises PyruncError if it cannot be written."""
    rows = rows_of(launch)
    made = events_of(rows) if options.trace_format == "chrome" else rows
    try:
        replace(options.trace, dumps(made, 2).encode() + b"\n")
    except OSError as error:
        raise PyruncError(f"--trace {options.trace}: {(error.strerror or '').lower()}") from None


def rows_of(launch: "Launch") -> "list[Row]":
    """Returns the plan's table with times.

    ``start``: nanoseconds since the first measured time; ``ns``: the duration of the step. Both are null if the step
    was not reached or not measured. ``wait``: the same two values of the helper's wait for this step of the runtime and
    the runtime's steps that directly follow it.
    """
    rows = table(launch.steps)
    first = min((begun for begun, _ in (*launch.times.values(), *launch.waits.values())), default=0)
    for number, row in enumerate(rows):
        row["start"] = row["ns"] = None
        if number in launch.times:
            row.update(_span(launch.times[number], first))
        if number in launch.waits:
            row["wait"] = _span(launch.waits[number], first)
    return rows


def _span(times: "tuple[int, int]", first: int) -> "dict[str, int]":
    begun, ended = times
    return {"start": begun - first, "ns": max(0, ended - begun)}  # a clock that was set back gives no negative duration


def runtime_waits(rows: "Sequence[Row]") -> "list[dict[str, int]]":
    """Returns ``start`` and ``ns`` of the runtime's waits. A wait lies between two steps of the runtime if steps of the
    helper are between them."""
    found: list[dict[str, int]] = []
    end, between = None, False
    for row in rows:
        if row["actor"] != RUNTIME:
            between = True
        elif row["ns"] is not None:
            if end is not None and between and row["start"] > end:
                found.append({"start": end, "ns": row["start"] - end})
            end, between = row["start"] + row["ns"], False
    return found


def events_of(rows: "Sequence[Row]") -> "Row":
    """Returns the rows as the JSON object of the trace-event format.

    Steps and waits are complete events (``ph`` X) of the categories ``step`` and ``wait``, with ``ts`` and ``dur`` in
    microseconds. The runtime and the helper are two named threads.
    """
    events: list[Row] = [_named("process_name", 0, "pyrunc")]
    for lane in LANES:
        events.append(_named("thread_name", LANES.index(lane) + 1, lane))
    for row in rows:
        where = {"step": row["step"], "where": row["where"], "args": row["args"]}
        if row["ns"] is not None:
            events.append(_event(row["kind"], "step", row["actor"], row, where))
        if "wait" in row:
            events.append(_event(WAITS[HELPER], "wait", HELPER, row["wait"], {"step": row["step"]}))
    events += [_event(WAITS[RUNTIME], "wait", RUNTIME, span, {}) for span in runtime_waits(rows)]
    return {"displayTimeUnit": "ns", "traceEvents": events}


def _named(what: str, thread: int, name: str) -> "Row":
    return {"name": what, "ph": "M", "ts": 0, "pid": 1, "tid": thread, "args": {"name": name}}


def _event(name: str, category: str, actor: str, span: "Row", args: "Row") -> "Row":
    times = {"ts": span["start"] / 1000, "dur": span["ns"] / 1000}
    return {"name": name, "cat": category, "ph": "X", **times, "pid": 1, "tid": LANES.index(actor) + 1, "args": args}
