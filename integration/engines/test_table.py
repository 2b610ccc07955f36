"""The table of docs/engines.md lists exactly the existing tests."""

import subprocess
import sys
from pathlib import Path

import table
import table_systemd
from cri import DEPLOY

DOCUMENT = DEPLOY.parents[1] / "docs" / "engines.md"


def test_table_in_the_documentation_has_every_case_and_no_other() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(Path(__file__).parent)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    collected = {case for line in lines if "::" in line and (case := table.case_of(line))}
    written = {(name, engine) for name, row in table.read(DOCUMENT.read_text()).items() for engine in row}
    assert written == collected, f"run `make engines-table`: {sorted(written ^ collected)}"


def test_every_case_of_the_table_passes_on_pyrunc() -> None:
    rows = table.read(DOCUMENT.read_text())
    bad = [(name, engine) for name, row in rows.items() for engine, word in row.items() if not word.startswith("yes")]
    assert rows and not bad


def test_settings_of_a_node_are_the_same_in_the_documentation() -> None:
    settings = [
        line for line in (DEPLOY / "containerd-config.toml").read_text().splitlines() if line.strip()[:1] != "#"
    ]
    assert "\n".join(settings) in DOCUMENT.read_text()


def test_table_on_systemd_has_every_case_and_no_other() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        str(Path(__file__).with_name("test_on_systemd.py")),
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    cases = [found for line in lines if (found := table_systemd.case_of(line))]
    collected = {
        (case, f"{engine}, own shim" if runtime == table_systemd.NATIVE else engine)
        for case, engine, runtime in cases
        if runtime != "runc"
    }
    written = table_systemd.read(DOCUMENT.read_text())
    assert set(written) == collected, f"run `make engines-table-systemd`: {sorted(set(written) ^ collected)}"
    assert not [place for place, cell in written.items() if any("**fails**" in more for more in cell.values())]
