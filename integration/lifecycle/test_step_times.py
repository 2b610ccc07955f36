"""--trace: the time and actor of each step, and the waits; in both formats."""

import glob
import itertools
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from harness import Box

DAY = 86_400


def traced(box: Box, form: str, *words: str) -> Any:
    box.ok(words[0], "--trace", form, "--trace-format", form, *words[1:])
    return json.loads((box.directory / form).read_text())


def end(span: dict[str, int]) -> int:
    return span["start"] + span["ns"]


def test_the_times_of_a_run_fit_together(box: Box) -> None:
    """An actor executes one step at a time, in the order of the plan; the helper waits while the runtime acts."""
    rows = traced(box, "json", "run", "-b", str(box.bundle("true")), box.new_id())
    for actor in ("runtime", "helper"):
        spans = [row for row in rows if row["actor"] == actor and row["ns"] is not None]
        assert len(spans) > 3
        assert all(end(one) <= two["start"] for one, two in itertools.pairwise(spans))
    waits = [row for row in rows if "wait" in row]
    assert {"cgroup-place", "record"} <= {row["kind"] for row in waits}
    for row in waits:
        assert row["wait"]["start"] <= row["start"] and end(row) <= end(row["wait"])


def test_a_time_namespace_does_not_change_the_times(box: Box) -> None:
    """The helper is cloned into the time namespace, where its clocks jump by the offset (time_namespaces(7))."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "time"})
        config["linux"]["timeOffsets"] = {"monotonic": {"secs": DAY}, "boottime": {"secs": DAY}}

    rows = traced(box, "json", "run", "-b", str(box.bundle("true", change)), box.new_id())
    assert sum(row["kind"] == "clone" and row["ns"] is not None for row in rows) == 1
    assert max(end(row) for row in rows if row["ns"] is not None) < DAY * 10**9 / 2


@pytest.mark.parametrize("command", ["create", "run", "exec"])
def test_trace_events_of_every_command_that_has_them(box: Box, command: str) -> None:
    quiet = ["-b", str(box.bundle("true")), box.new_id()]
    words = [box.start(), "true"] if command == "exec" else quiet
    if command == "create":
        box.ok("create", "--trace", "chrome", "--trace-format", "chrome", *words, capture_output=False)
        document = json.loads((box.directory / "chrome").read_text())
    else:
        document = traced(box, "chrome", command, *words)
    events = document["traceEvents"]
    lanes = {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}
    assert set(lanes) == {"runtime", "helper"}
    assert {event["ph"] for event in events} == {"M", "X"}
    for lane in lanes.values():
        spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X" and e["tid"] == lane)
        # Viewers draw spans that overlap without nesting wrongly, or not at all. Floats may lose a nanosecond.
        assert spans and all(one[1] <= two[0] + 0.001 for one, two in itertools.pairwise(spans))
    assert any(event.get("cat") == "wait" for event in events)


@pytest.mark.parametrize("form", ["json", "chrome"])
def test_a_picture_of_a_run(box: Box, form: str) -> None:
    traced(box, form, "run", "-b", str(box.bundle("true")), box.new_id())
    box.ok("trace", form, "-o", "picture.svg")
    picture = ElementTree.parse(box.directory / "picture.svg").getroot()
    words = [element.text or "" for element in picture.iter() if element.tag.endswith("title")]
    assert any(text.startswith("helper: mount (mounts[0])") for text in words)
    assert any(text.startswith("helper: wait for the runtime") for text in words)
    assert any(text.startswith("runtime: wait for the helper") for text in words)


@pytest.mark.parametrize("moment", ["exec", "init"])
def test_times_of_loading_are_the_runtimes(box: Box, moment: str) -> None:
    """Messages of a process that loads a library are not trusted: the time of loading is that of its last step."""
    library = next(iter(glob.glob("/usr/lib/*/libz.so.1")), "")
    if not library:
        pytest.skip("there is no libz.so.1 to be loaded")
    words = ["--preload-lib", library, "--preload-at", moment, "-b", str(box.bundle("true")), box.new_id()]
    rows = traced(box, "json", "run", *words)
    check = next(row["step"] for row in rows if row["kind"] == "preload-check")
    loading, checked = rows[check - 1], rows[check]
    assert loading["ns"] > 0 and end(loading) <= checked["start"]


def test_a_format_that_there_is_not(box: Box) -> None:
    done = box.call("run", "--trace", "t", "--trace-format", "xml", "-b", str(box.bundle("true")), box.new_id())
    assert done.returncode != 0 and "--trace-format" in done.stderr and "Traceback" not in done.stderr
    assert not (box.directory / "t").exists()
