"""docs/spec-conformance.md: a row for every property and option, and an existing test for every row."""

import re
from functools import cache
from pathlib import Path

import pytest

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.options import GLOBAL
from pyrunc.cli.parser import by_name, definition
from pyrunc.container.features import features
from pyrunc.spec.table import SHAPE

TOP = Path(__file__).resolve().parents[2]
DOCUMENT = TOP / "docs" / "spec-conformance.md"


@cache
def tables() -> "dict[str, dict[str, str]]":
    """{heading: {name in a first cell: last cell}}."""
    found: dict[str, dict[str, str]] = {}
    rows: dict[str, str] = {}
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("#"):
            rows = found.setdefault(line.strip("# ").partition(":")[0], {})
        elif line.startswith("| ") and line.count(" | ") >= 2:
            first, *_, last = line.strip("| ").split(" | ")
            for name in re.findall(r"`([^`]+)`", first):
                assert name not in rows, f"two rows for {name}"
                rows[name] = last
    return found


@pytest.mark.parametrize("model", SHAPE)
def test_every_property_has_a_row(model: str) -> None:
    assert list(tables().get(model, {})) == list(SHAPE[model])


def test_every_option_has_a_row() -> None:
    options = {"pyrunc (before the command)": by_name(GLOBAL)}
    options |= {f"pyrunc {name}": by_name(definition(name).options) for name in COMMANDS}
    for heading, table in options.items():
        assert heading in tables(), heading
        assert set(tables()[heading]) == set(table), heading


def test_every_feature_has_a_row() -> None:
    assert set(tables()["features.md and features-linux.md"]) == set(paths(features(), ""))


def paths(document: "dict[str, object]", above: str) -> "list[str]":
    """Returns paths such as ``linux.cgroup.v1``; all annotations count as one."""
    found = []
    for name, value in document.items():
        inner = isinstance(value, dict) and name != "annotations"
        found += paths(value, f"{above}{name}.") if inner else [f"{above}{name}"]  # type: ignore[arg-type]
    return found


def test_every_row_names_tests_that_are_there_or_says_why_there_is_none() -> None:
    referred = 0
    for line in DOCUMENT.read_text().splitlines():
        references = re.findall(r"`((?:tests|integration)/[\w/]+\.py)::(\w+)`", line)
        for file, name in references:
            assert (TOP / file).is_file(), f"{file}: no such file: {line}"
            assert re.search(rf"^def {name}\(", (TOP / file).read_text(), re.MULTILINE), f"{file} has no {name}: {line}"
        if line.startswith("| `") or (line.startswith("| ") and "::" in line):
            assert references or "no test: " in line, line
        referred += len(references)
    assert referred > 300
