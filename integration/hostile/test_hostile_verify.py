"""`verify-preload`: containers in each combination, and the grid of their cgroups."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as xml
from typing import Any

import pytest
from hostile_box import Stage

from harness import NOBODY, PYRUNC, TOP, skip_unless_a_user_may_run_it


def host_pids(config: dict[str, Any]) -> None:
    """Removes the pid namespace: cgmanager serves no process of another one."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "pid"]


def verify(stage: Stage, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return stage.box.call("verify-preload", stage.scene.library(name), *words)


def series(stage: Stage, name: str, *words: str) -> list[dict[str, Any]]:
    done = verify(stage, name, "--format", "json", *words)
    found: list[dict[str, Any]] = json.loads(done.stdout)["series"]
    return found


def test_legacy_escapes_and_hardened_does_not(stage: Stage) -> None:
    words = ("--bundle", str(stage.box.bundle("sleep 100", host_pids)), "--preload-at", "exec,init")
    done = verify(stage, "lxc2", "--runs", "12", "--delay", "0-12", "--expect-escape", *words)
    assert done.returncode == 0, done.stdout
    for at in ("exec", "init"):
        assert f"hardened ({at}): 0 of 12 runs left at least one hierarchy" in done.stdout
        assert f"legacy ({at}): " in done.stdout and f"legacy ({at}): 0 of 12" not in done.stdout
    # One row for each hierarchy, one mark for each run.
    rows = [line for line in done.stdout.splitlines() if line.startswith("freezer ")]
    assert len(rows) == 4 and all(len(row.split()[1]) == 12 for row in rows)
    assert "R" in rows[0] and set(rows[2].split()[1]) == {"+"}


def test_a_program_that_has_ended_has_not_escaped(stage: Stage) -> None:
    """On v1, a process that has ended is shown in the root cgroup of every hierarchy."""
    bundle = str(stage.box.bundle("true"))
    for library in ("environment", "prints"):
        done = verify(stage, library, "--runs", "60", "--placement", "hardened", "--bundle", bundle)
        assert done.returncode == 0 and "0 of 60 runs left" in done.stdout, done.stdout


def test_the_race_is_met_in_its_middle(stage: Stage) -> None:
    """During loading the parent's and the daemon's writes interleave: some hierarchies are lost, others are not."""
    found = series(stage, "lxc2", "--runs", "40", "--delay", "4-9", "--placement", "legacy")
    v1 = [{mark for name, mark in run["marks"].items() if name} for run in found[0]["runs"]]
    assert any({"root", "home"} <= marks for marks in v1)


def test_a_library_that_does_nothing_proves_nothing(stage: Stage) -> None:
    words = ("--runs", "2")
    assert verify(stage, "files", *words).returncode == 0
    done = verify(stage, "files", *words, "--expect-escape")
    assert done.returncode == 1 and "legacy showed no escape" in done.stderr


def test_refusals_are_marked_and_reported(stage: Stage) -> None:
    done = verify(stage, "exits", "--runs", "2", "--placement", "hardened")
    assert "2 were refused" in done.stdout and "was ended by exit status 0" in done.stdout
    assert done.returncode == 0


def test_reports_are_one_file(stage: Stage) -> None:
    for name in ("report.html", "report.svg"):
        file = stage.box.directory / name
        verify(stage, "lxc1", "--runs", "3", "--report", str(file))
        text = file.read_text()
        assert "src=" not in text and text.count("href=") == text.count('href="#')
        picture = xml.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
        cells = [cell.get("href") for cell in picture.iter("{http://www.w3.org/2000/svg}use") if cell.get("y") != "2"]
        rows = len(open("/proc/self/cgroup").read().splitlines())
        assert len(cells) == 2 * 3 * rows and "#p" in cells
        assert any("legacy (exec)" in (line.text or "") for line in picture.iter("{http://www.w3.org/2000/svg}text"))


def test_a_bundle_can_be_given(stage: Stage) -> None:
    bundle = stage.box.bundle("sleep 100")
    assert verify(stage, "lxc1", "--runs", "1", "--bundle", str(bundle)).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--placement", "soft"), "'soft': is not one of legacy, hardened"),
        (("--preload-at", "never"), "'never': is not one of exec, init"),
        (("--delay", "5-2"), "'5-2': is not a span"),
        (("--delay", "x"), "'x': is not MS-MS"),
        (("--bundle", "/nowhere"), "/nowhere/config.json"),
    ],
)
def test_wrong_words_are_named(stage: Stage, words: tuple[str, ...], said: str) -> None:
    done = verify(stage, "lxc1", "--runs", "1", *words)
    assert done.returncode == 1 and said in done.stderr + done.stdout


def test_where_it_cannot_be_shown_it_says_so(stage: Stage) -> None:
    words = [PYRUNC, "verify-preload", stage.scene.library("lxc1")]
    inside = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", *words], capture_output=True, text=True)
    assert inside.returncode == 1 and "in a pid namespace of its own" in inside.stderr
    no_v1 = 'umount -l /sys/fs/cgroup/* 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'
    inside = subprocess.run(["unshare", "--mount", "sh", "-c", no_v1, "sh", *words], capture_output=True, text=True)
    assert inside.returncode == 1 and "no v1 hierarchy" in inside.stderr
    os.chmod(stage.scene.directory, 0o755)
    skip_unless_a_user_may_run_it()
    done = subprocess.run(words, capture_output=True, text=True, **NOBODY)
    assert done.returncode == 1 and "needs root" in done.stderr


@pytest.mark.skipif(
    "HOSTILE_IN_SHORT" not in os.environ, reason="the whole table takes minutes: HOSTILE_IN_SHORT=1, or make hostile"
)
def test_make_hostile_in_short(stage: Stage) -> None:
    """The target runs 200 containers for each combination; three are enough to test it."""
    script = str(TOP / "integration" / "hostile" / "experiments.py")
    done = subprocess.run([sys.executable, script, "3"], capture_output=True, text=True, timeout=600)
    assert "experiment 1" in done.stdout and "experiment 2" in done.stdout
    for name in ("lxc1", "late_thread", "unified_too"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert "hardened/exec 0, hardened/init 0" in line
