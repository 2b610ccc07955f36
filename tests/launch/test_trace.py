"""The two formats of --trace, and the picture that `pyrunc trace` draws of either."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from pyrunc.errors import PyruncError
from pyrunc.launch.conversation import Launch
from pyrunc.launch.trace import events_of, rows_of, write_trace
from pyrunc.launch.trace_read import read_trace
from pyrunc.launch.waterfall import LEFT, WIDTH, duration, svg
from pyrunc.plan.options import CreateOptions
from pyrunc.plan.steps import Step

STEPS = [
    Step("cgroup-create", "linux.cgroupsPath", []),
    Step("hostname", "hostname", "box"),
    Step("cgroup-verify", "linux.cgroupsPath", []),
    Step("umask", "process.user.umask", 0o22),
]
MS = 1_000_000
BEGUN = 1_790_000_000 * 10**9
SVG = "{http://www.w3.org/2000/svg}"


def launch(times: dict[int, tuple[int, int]], waits: dict[int, tuple[int, int]]) -> Launch:
    """Makes a launch with the attributes that writing a trace needs; times in milliseconds."""

    def absolute(spans: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        return {number: (BEGUN + begun * MS, BEGUN + ended * MS) for number, (begun, ended) in spans.items()}

    return cast(Launch, SimpleNamespace(steps=STEPS, times=absolute(times), waits=absolute(waits)))


def ordinary() -> Launch:
    return launch({0: (0, 4), 1: (2, 5), 2: (6, 9)}, {2: (5, 10)})


def test_times_count_from_the_first_one() -> None:
    rows = rows_of(ordinary())
    assert [(row["start"], row["ns"]) for row in rows] == [
        (0, 4 * MS),
        (2 * MS, 3 * MS),
        (6 * MS, 3 * MS),
        (None, None),
    ]
    assert [row.get("wait") for row in rows] == [None, None, {"start": 5 * MS, "ns": 5 * MS}, None]


def test_a_clock_that_is_set_back_makes_no_negative_time() -> None:
    assert [row["ns"] for row in rows_of(launch({0: (0, 4), 1: (2, 1)}, {}))[:2]] == [4 * MS, 0]


def test_events_are_what_the_format_asks_for() -> None:
    document = events_of(rows_of(ordinary()))
    events = document["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert sorted(lanes.values()) == ["helper", "runtime"]
    assert all({"name", "ph", "ts", "pid", "tid", "args"} <= set(event) for event in events)
    assert {event["ph"] for event in events} == {"M", "X"}
    complete = [
        (lanes[event["tid"]], event["name"], event["ts"], event["dur"]) for event in events if event["ph"] == "X"
    ]
    assert sorted(complete) == [
        ("helper", "hostname", 2000, 3000),
        ("helper", "wait for the runtime", 5000, 5000),
        ("runtime", "cgroup-create", 0, 4000),
        ("runtime", "cgroup-verify", 6000, 3000),
        ("runtime", "wait for the helper", 4000, 2000),
    ]
    assert {event["cat"] for event in events if event["ph"] == "X" and "wait" in event["name"]} == {"wait"}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, str]:
    """The same trace in both formats."""
    found = {}
    for form in ("json", "chrome"):
        options = CreateOptions(trace=str(tmp_path / form), trace_format=form)
        write_trace(options, ordinary())
        found[form] = options.trace
    return found


def test_both_formats_are_read_the_same(written: dict[str, str]) -> None:
    def bars(form: str) -> list[Any]:
        return sorted((bar.start, bar.ns, bar.lane, bar.kind, bar.where, bar.wait) for bar in read_trace(written[form]))

    assert bars("json") == bars("chrome") != []


def test_events_alone_and_those_of_others_are_read(written: dict[str, str], tmp_path: Path) -> None:
    """The format also allows only the array; a viewer that saves a trace adds its own events."""
    events = json.loads(Path(written["chrome"]).read_text())["traceEvents"]
    other = [{"ph": "X", "name": "other", "ts": 0, "dur": 1, "pid": 7, "tid": 1}, {"ph": "i", "name": "mark", "ts": 3}]
    (tmp_path / "array").write_text(json.dumps([*other, *events]))
    assert len(read_trace(str(tmp_path / "array"))) == len(read_trace(written["chrome"]))


def test_a_format_that_there_is_not_is_refused_before_anything_is_made() -> None:
    with pytest.raises(TypeError, match="trace_format: xml"):
        CreateOptions(trace="/x", trace_format="xml")


ROW = {"step": 0, "actor": "helper", "kind": "umask", "where": "", "args": {}, "start": 0, "ns": 5}
THREAD = {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "helper"}}
EVENT = {"ph": "X", "name": "umask", "pid": 1, "tid": 2, "ts": 0, "dur": 1, "args": {}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file or directory"),
        ("", "empty"),
        ("{", "not JSON"),
        ("[NaN]", "not JSON"),
        ("3", "is not what --trace writes"),
        ("{}", "is not what --trace writes"),
        ("[3]", "is not what --trace writes"),
        ("[" * 10_000 + "]" * 10_000, "nested too deeply"),
        ("[]", "has no times in it"),
        ([{"kind": "umask"}], "is not what --trace writes"),
        ([{**ROW, "actor": "nobody"}], "is not what --trace writes"),
        ([{**ROW, "kind": 3}], "is not what --trace writes"),
        ([{key: ROW[key] for key in ROW if key != "start"}], "has no start times: an older pyrunc wrote it"),
        ([{**ROW, "ns": None}], "has no times in it"),
        ([{**ROW, "ns": -1}], "has a time that is none: ns is -1"),
        ([{**ROW, "ns": True}], "has a time that is none"),
        ([{**ROW, "ns": 10**400}], "has a time that is none"),
        ([{**ROW, "start": None}], "has a time that is none"),
        ([{**ROW, "actor": "runtime", "start": "x"}, {**ROW, "actor": "runtime"}], "has a time that is none"),
        ([{**ROW, "wait": 3}], "is not what --trace writes"),
        ({"traceEvents": 3}, "is not what --trace writes"),
        ({"traceEvents": [EVENT]}, 'no thread is called "runtime" or "helper"'),
        ({"traceEvents": [THREAD]}, "has no times in it"),
        ({"traceEvents": [THREAD, {**EVENT, "dur": "x"}]}, "has a time that is none: dur is x"),
        ({"traceEvents": [THREAD, {**EVENT, "args": 3}]}, "is not what --trace writes"),
        ({"traceEvents": [THREAD, {**EVENT, "name": None}]}, "is not what --trace writes"),
    ],
)
def test_what_is_no_trace_is_told_in_one_line(content: Any, words: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PyruncError) as caught:
        read_trace(str(file))
    message = str(caught.value)
    assert message.startswith(f"{file}: ") and words in message and "\n" not in message


@pytest.mark.parametrize("form", ["json", "chrome"])
def test_the_picture_has_lanes_waits_and_places(form: str, written: dict[str, str]) -> None:
    root = ElementTree.fromstring(svg(read_trace(written[form])))
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert {"runtime", "helper", "runtime waits", "helper waits"} <= set(texts)
    assert "3 steps of pyrunc in 10 ms" in texts
    assert any("cgroup-create (linux.cgroupsPath)" in text for text in texts)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "helper: wait for the runtime, 5 ms from 5 ms" in titles
    assert "runtime: cgroup-verify (linux.cgroupsPath), 3 ms from 6 ms" in titles


def places(picture: str) -> list[tuple[float, float]]:
    """Returns (x of the begin, x of the end) of the bars."""
    bars = [bar for bar in ElementTree.fromstring(picture).iter(f"{SVG}rect") if len(bar)]
    return [(float(bar.attrib["x"]), float(bar.attrib["x"]) + float(bar.attrib["width"])) for bar in bars]


def test_a_short_step_has_a_row_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    rows = [{**ROW, "start": number * 10, "ns": 9} for number in range(1000)]
    file.write_text(json.dumps([*rows, {**ROW, "start": 10_000, "ns": 90_000}]))
    few, every = svg(read_trace(str(file))), svg(read_trace(str(file)), everything=True)
    assert len(places(few)) == 1001 + 1 and len(places(every)) == 2 * 1001
    assert "1000 steps of less than 500 ns each" in few and "steps of less" not in every
    assert all(LEFT <= begin < end <= WIDTH for begin, end in places(few))


def test_names_are_text_whatever_they_are(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text(json.dumps([{**ROW, "kind": "<script>", "where": 'a"b&\x00\x1b\ud800\n' + "x" * 500}]))
    picture = svg(read_trace(str(file)))
    ElementTree.fromstring(picture.encode())
    assert "&lt;script&gt;" in picture and "<script>" not in picture


def test_a_trace_of_no_time_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text(json.dumps([{**ROW, "start": 7, "ns": 0}]))
    ElementTree.fromstring(svg(read_trace(str(file))))


@pytest.mark.parametrize(
    ("nanoseconds", "words"), [(0, "0"), (999, "999 ns"), (1500, "1.5 \u00b5s"), (12.34e6, "12.3 ms"), (2e9, "2 s")]
)
def test_durations(nanoseconds: float, words: str) -> None:
    assert duration(nanoseconds) == words
