"""The table of engines on a host that systemd runs, in docs/engines.md: made by the run of test_on_systemd.py in guests.

make engines-table-systemd
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ground import NATIVE, TOP

DOCUMENT = TOP / "docs" / "engines.md"
BEGIN, END = "<!-- table: made by `make engines-table-systemd` -->", "<!-- end of the table on systemd -->"
PYTHON = {"12": "3.11", "13": "3.13"}
Results = dict[str, dict[str, dict[str, str]]]
"""{case: {engine: {runtime: outcome}}}"""
Cells = dict[tuple[str, str], dict[str, str]]
"""{(case, column): {release of Debian: what is said besides}}"""


def case_of(nodeid: str) -> tuple[str, str, str] | None:
    """The case's words, the engine and the runtime; None for another test."""
    file, _, test = nodeid.partition("::")
    if Path(file).name != "test_on_systemd.py" or "[" not in test:
        return None
    name, _, parameters = test.rstrip("]").partition("[")
    engine, _, runtime = parameters.rpartition("-")
    return name.removeprefix("test_").replace("_", " "), engine, runtime


def record(results: Results, nodeid: str, report: pytest.TestReport) -> None:
    """Keeps what became of a case: the worst of set-up, call and teardown; what was skipped was not run."""
    case = case_of(nodeid)
    if case is None or report.skipped or (report.when != "call" and report.passed):
        return
    words, engine, runtime = case
    cell = results.setdefault(words, {}).setdefault(engine, {})
    cell[runtime] = "fails" if report.failed or cell.get(runtime) == "fails" else "passes"


def columns(engine: str, runtimes: dict[str, str]) -> dict[str, tuple[str, str]]:
    """{column: (pyrunc's outcome, runc's)}"""
    found = {engine: runtimes.get("pyrunc", ""), f"{engine}, own shim": runtimes.get(NATIVE, "")}
    return {name: (ours, runtimes.get("runc", "")) for name, ours in found.items() if ours}


def said(ours: str, theirs: str) -> str:
    """What stands beside the release: nothing where the case passes on both."""
    beside = {"passes": "", "fails": "runc fails", "": "runc not run"}[theirs]
    words = [word for word in ("**fails**" if ours == "fails" else "", beside) if word]
    return f" ({', '.join(words)})" if words else ""


def read(text: str) -> Cells:
    """The cells of the table in ``text``."""
    rows = [line for line in text.partition(BEGIN)[2].partition(END)[0].splitlines() if line.startswith("| ")]
    split = [[word.strip() for word in row.strip("|").split("|")] for row in rows]
    cells: Cells = {}
    for row in split[1:]:
        for column, word in zip(split[0][1:], row[1:], strict=True):
            if word:
                told = [each.partition(" ") for each in word.split("; ")]
                cells[row[0], column] = {release: space + more for release, space, more in told}
    return cells


def render(cells: Cells, order: list[str]) -> str:
    names = sorted(
        {column for _, column in cells}, key=lambda name: (order.index(name.removesuffix(", own shim")), name)
    )
    cases = list(dict.fromkeys(case for case, _ in cells))
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case in sorted(cases):
        told = [cells.get((case, name), {}) for name in names]
        words = ["; ".join(f"{release}{cell[release]}" for release in sorted(cell)) for cell in told]
        lines.append(f"| {case} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def write(results: dict[str, Results], partly: bool) -> None:
    """Puts the results, by release, into the table; what another release's run said stays as it is. ``partly``: so does
    what an earlier run of the same release said of cases that were not run."""
    from test_on_systemd import ENGINES

    text = DOCUMENT.read_text()
    cells = {
        place: kept
        for place, cell in read(text).items()
        if (kept := {release: more for release, more in cell.items() if partly or release not in results})
    }
    for release, found in results.items():
        for case, engines in found.items():
            for engine, runtimes in engines.items():
                for column, outcomes in columns(engine, runtimes).items():
                    cells.setdefault((case, column), {})[release] = said(*outcomes)
    before, _, rest = text.partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{render(cells, list(ENGINES))}\n{END}{rest.partition(END)[2]}")


def run(release: str, words: list[str]) -> Results:
    """The suite in a guest of that release, as root and as a user. gRPC for the guest's Python is put on the shared
    directory: the guest's own environment is without."""
    found: Results = {}
    with tempfile.TemporaryDirectory(prefix="pyrunc-engines-") as place:
        os.chmod(place, 0o1777)
        options = ["--target", f"{place}/grpc", "--python-version", PYTHON[release], "--only-binary", ":all:"]
        wanted = ["grpcio>=1.60", "grpcio-tools>=1.60"]
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *options, *wanted], check=True)
        guest = ["python3", str(TOP / "integration" / "guest"), "test", "--release", release, "--share", place]
        environment = ["--env", "PYTHONPATH=/mnt/grpc", "--env", "ENGINES_SYSTEMD=/mnt"]
        suite = ["--", "integration/engines/test_on_systemd.py", *words]
        subprocess.run([*guest, "--user", "root", "--user", "user", *environment, *suite], check=False)
        for file in Path(place).glob("*.json"):
            for case, engines in json.loads(file.read_text()).items():
                found.setdefault(case, {}).update(engines)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=list(PYTHON), help="default: each")
    parser.add_argument("words", nargs="*", help="for pytest")
    given = parser.parse_args()
    releases = given.release or list(PYTHON)
    write({release: found for release in releases if (found := run(release, given.words))}, partly="-k" in given.words)
