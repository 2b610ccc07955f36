"""`pyrunc trace` as a command."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from launched import pyrunc

ROW = {"step": 0, "actor": "helper", "kind": "umask", "where": "process.user.umask", "args": {}, "start": 0, "ns": 5}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    (tmp_path / "trace.json").write_text(json.dumps([ROW]))
    return tmp_path / "trace.json"


def test_the_picture_goes_to_the_file_or_to_standard_output(trace: Path) -> None:
    picture = trace.with_name("picture.svg")
    assert pyrunc("trace", "trace.json", "-o", "picture.svg", cwd=trace.parent).returncode == 0
    ElementTree.parse(picture)
    assert pyrunc("trace", trace).stdout == picture.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trace", "nonesuch"], "nonesuch: no such file or directory"),
        (["trace", "/"], "/: is a directory"),
        (["trace", "trace.json", "-o", "/nowhere/picture"], "--output /nowhere/picture: no such file or directory"),
        (["trace", "trace.json", "-o", "/"], "--output /: is a directory"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(trace: Path, words: list[str], message: str) -> None:
    done = pyrunc(*words, cwd=trace.parent)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", f"pyrunc: {message}\n")


def test_the_file_is_asked_for() -> None:
    done = pyrunc("trace")
    assert done.returncode != 0 and b"FILE" in done.stderr and b"Traceback" not in done.stderr
