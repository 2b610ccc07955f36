"""The table of cases by engine in docs/engines.md, made by a run of the tests."""

from pathlib import Path

import pytest

ENGINES = {"ctr": "ctr", "cri": "CRI", "docker": "Docker", "podman": "Podman", "buildah": "buildah"}
NATIVE = "shim"
RUNTIME_IDS = ("pyrunc", "runc", NATIVE)
NATIVE_COLUMNS = {name: f"{name}, own shim" for name in ("ctr", "CRI")}
"""Columns of the same cases on containerd-shim-pyrunc-v1."""
BEGIN, END = "<!-- table: made by `make engines-table` -->", "<!-- end of the table -->"
Results = dict[tuple[str, str], dict[str, str]]


def words_of(nodeid: str) -> list[str]:
    """The parameters in a test's id."""
    return nodeid.partition("[")[2].rstrip("]").split("-")


def case_of(nodeid: str) -> tuple[str, str] | None:
    """Returns the names of the case and the engine, from the test's and the module's names; None for other tests."""
    file, _, test = nodeid.partition("::")
    engine = ENGINES.get(Path(file).stem.removeprefix("test_").partition("_")[0])
    parameters = words_of(test)
    if engine is None or not set(parameters) & set(RUNTIME_IDS):
        return None
    if NATIVE in parameters:
        engine = NATIVE_COLUMNS[engine]
    words = test.partition("[")[0].removeprefix("test_").replace("_", " ")
    rest = "-".join(word for word in parameters if word not in RUNTIME_IDS)
    return words + (f": {rest.replace('_', ' ')}" if rest else ""), engine


def record(results: Results, nodeid: str, report: pytest.TestReport) -> None:
    """Records the result of a case on a runtime: the worst of setup, call and teardown."""
    case = case_of(nodeid)
    if case is None or (report.when != "call" and report.passed):
        return
    runtime = next(word for word in words_of(nodeid) if word in RUNTIME_IDS)
    outcome = "passed" if report.passed else "failed" if report.failed or hasattr(report, "wasxfail") else "skipped"
    words, column = case
    own = NATIVE_COLUMNS.get(column)
    # runc's outcome is shown beside both of pyrunc's.
    for name in [column, own] if runtime == "runc" and own else [column]:
        cell = results.setdefault((words, name), {})
        key = "runc" if runtime == "runc" else "pyrunc"
        if cell.get(key) != "failed":
            cell[key] = outcome


def cell(outcomes: dict[str, str]) -> str:
    """Returns the text of one cell: pyrunc's outcome, and runc's if it differs."""
    ours, theirs = outcomes.get("pyrunc", "-"), outcomes.get("runc", "-")
    word = {"passed": "yes", "failed": "**fails**", "skipped": "skipped", "-": "-"}
    return word[ours] if ours == theirs else f"{word[ours]} (runc: {word[theirs].strip('*')})"


def read(text: str) -> dict[str, dict[str, str]]:
    """The cells of the table in ``text``, by case and engine."""
    if BEGIN not in text:
        return {}
    rows = [line for line in text.partition(BEGIN)[2].partition(END)[0].splitlines() if line.startswith("| ")]
    split = [[word.strip() for word in row.strip("|").split("|")] for row in rows]
    if not split:
        return {}
    names = split[0][1:]
    return {row[0]: {name: word for name, word in zip(names, row[1:], strict=True) if word} for row in split[1:-1]}


def render(cells: dict[str, dict[str, str]]) -> str:
    """The table as Markdown, cases in alphabetical order, the number of cases below."""
    names = [name for engine in ENGINES.values() for name in (engine, NATIVE_COLUMNS.get(engine)) if name]
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {case} | " + " | ".join(cells[case].get(name, "") for name in names) + " |" for case in sorted(cells)]
    counts = [sum(name in row for row in cells.values()) for name in names]
    lines += [f"| {sum(counts)} in all | " + " | ".join(str(count) for count in counts) + " |"]
    return "\n".join(lines)


def write(path: Path, results: Results, whole: bool) -> None:
    """Writes the results into the table of ``path``. Unless the ``whole`` suite ran, other cases stay unchanged."""
    text = path.read_text() if path.exists() else f"{BEGIN}\n{END}\n"
    cells = {} if whole else read(text)
    for (case, engine), outcomes in results.items():
        cells.setdefault(case, {})[engine] = cell(outcomes)
    before, _, rest = text.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{render(cells)}\n{END}{rest.partition(END)[2]}")
