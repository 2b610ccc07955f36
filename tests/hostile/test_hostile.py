"""Hostile libraries, without loading any: the plan with a library, the grid, the verdicts of an audit."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.cgroup.devices import rules
from pyrunc.hostile.audit import judge
from pyrunc.hostile.probe import Observation
from pyrunc.hostile.report import page, picture
from pyrunc.hostile.verify import BACK, HOME, TOP, Run, Series, grid
from pyrunc.plan.compile import compile_create
from pyrunc.plan.facts import Facts
from pyrunc.plan.options import CreateOptions
from pyrunc.plan.preload import PLACE, environment
from pyrunc.plan.steps import Step
from pyrunc.spec.default import config
from pyrunc.spec.load import config_from


def plan(
    libraries: int = 0, at: str = "exec", placement: str = "hardened", keyring: bool = True, devices: bool = False
) -> list[Step]:
    options = CreateOptions(
        bundle="/bundle",
        libraries=list(range(libraries)),
        preload_at=at,
        placement=placement,
        no_new_keyring=not keyring,
    )
    facts = Facts("id", options)
    facts.cgroups = {"": "/sys/fs/cgroup/id"}
    facts.devices = rules(None) if devices else None
    return compile_create(config_from(config()), facts)


def added(*given: object) -> list[str]:
    """Returns the steps that a library adds."""
    return [step.kind for step in plan(*given) if step.where == PLACE]  # type: ignore[arg-type]


def test_without_a_library_no_step_is_there_for_one() -> None:
    assert added() == []


def test_beside_what_a_library_adds_only_the_placement_comes_earlier() -> None:
    def others(steps: list[Step]) -> list[Step]:
        return [step for step in steps if step.where != PLACE and step.kind != "cgroup-place"]

    for at in ("exec", "init"):
        for placement in ("hardened", "legacy"):
            assert others(plan(2, at, placement)) == others(plan())


def test_the_order_around_loading() -> None:
    leaving = ["unshare", "propagation"]
    after = ["preload-check", "preload-settings", "join", "join", "join", "settle"]
    # The process that loaded the library ends, after its state is restored, before any part of the container is made.
    loading = ["preload-baseline", "hand-over", "exec-helper"]
    assert added(1) == ["snapshot", *leaving, *loading, *after, "clone", "cgroup-verify"]
    loading = ["preload-baseline", *leaving, "hand-over", "load-library", "load-library", "exec-static"]
    assert added(2, "init") == [*loading, *after[:-1], "join", "settle"]  # also leaves the network namespace
    kinds = [step.kind for step in plan(1)]
    # Placed in its cgroups before it loads; loaded before any part of the container is made.
    assert (
        kinds.index("cgroup-place")
        < kinds.index("exec-helper")
        < kinds.index("open-tree" if "open-tree" in kinds else "root")
    )
    kinds = [step.kind for step in plan(1, "init")]
    assert kinds.index("clone") < kinds.index("load-library") < kinds.index("pivot")


def test_the_settings_are_restored_by_the_rules_of_the_plan() -> None:
    for at in ("exec", "init"):
        steps = plan(1, at, devices=True)
        (made,) = (step for step in steps if step.kind == "cgroup-devices")
        (restored,) = (step for step in steps if step.kind == "preload-settings")
        assert restored.args == (*made.args, 0) and "c 1:3 rwm" in restored.args[1]


def test_legacy_looks_at_nothing() -> None:
    assert added(1, "exec", "legacy") == []
    assert added(1, "init", "legacy") == ["load-library"]


def test_settle_refuses_a_keyring_that_no_later_step_replaces() -> None:
    for keyring in (True, False):
        (settle,) = (step for step in plan(1, keyring=keyring) if step.kind == "settle")
        assert settle.args == (int(keyring),)


def test_the_loader_gets_descriptors_after_the_preserved_ones() -> None:
    assert environment(2, 0) == ["LD_PRELOAD=/proc/self/fd/10:/proc/self/fd/11", "LD_BIND_NOW=1"]
    assert environment(1, 3)[0] == "LD_PRELOAD=/proc/self/fd/13"


def test_a_run_without_library_imports_nothing_of_it() -> None:
    code = "import sys; from pyrunc.cli.dispatch import run; run(['run', 'x']); print([m for m in sys.modules if 'hostile' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "[]\n"


def series(*runs: dict[str, str]) -> Series:
    return Series("legacy", "exec", [Run(marks) for marks in runs])


def test_the_sentence_counts_runs_and_mixtures() -> None:
    found = series(
        {"cpu": TOP, "pids": HOME, "": HOME}, {"cpu": TOP, "pids": TOP, "": HOME}, {"cpu": HOME, "pids": BACK}
    )
    assert found.escaped == 2
    assert found.sentence() == ("legacy (exec): 2 of 3 runs left at least one hierarchy, 1 of them some and not others")


def test_the_grid_is_folded() -> None:
    found = series(*[{"cpu": TOP, "": HOME}] * 25)
    assert grid(found, 30) == f"cpu      {'R' * 21}\ncgroup2  {'.' * 21}\n\ncpu      RRRR\ncgroup2  ...."


def test_names_in_the_picture_are_escaped() -> None:
    assert "<b>" not in page("<b>", [series({"<b>": HOME})])
    assert picture([]).startswith("<svg ")


def observed(lines: str, **given: object) -> Observation:
    parts = [line.split("|") for line in lines.splitlines()]
    return Observation(lines=parts, outcome="loaded", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "subject", "verdict"),
    [
        ("call|7|constructor|connect|-111|unix:/run/x", "socket connected", "tried (ECONNREFUSED)"),
        ("call|7|constructor|connect|0|10.0.0.1:80", "socket connected", "connected"),
        ("call|7|constructor|openat|3|/tmp/x (create)", "file", "created or written"),
        ("call|7|constructor|mkdir|0|/tmp/x", "file", "done (mkdir)"),
        ("call|7|constructor|unshare|0|0x20000", "system: unshare", "done (unshare)"),
        ("call|7|constructor|execve|0|/bin/sh", "program executed", "executed"),
        ("thread|7|8|constructor", "threads started", "started"),
        ("fork|7|8|constructor", "processes forked", "forked"),
    ],
)
def test_a_call_is_a_finding(line: str, subject: str, verdict: str) -> None:
    (finding,) = judge(observed(line)).findings
    assert (finding.subject, finding.verdict) == (subject, verdict)


@pytest.mark.parametrize(
    "line",
    [
        "call|7|constructor|openat|-2|/tmp/x",
        "call|7|constructor|openat|3|/dev/null",
        "call|7|constructor|sendto|5|",
        "loaded|1000",
    ],
)
def test_what_changes_nothing_is_no_finding(line: str) -> None:
    assert not judge(observed(line)).findings


def test_what_differs_is_a_finding_and_what_is_the_same_is_one_row() -> None:
    before = {"cgroup: cpu": "/a", "cgroup: pids": "/a", "umask": "0022", "memory": "100 kB"}
    same = judge(observed("", before=before, after={**before, "memory": "300 kB"}))
    assert not same.findings and same.memory == 200
    assert [row.subject for row in same.rows[:2]] == ["umask", "cgroups"]
    moved = judge(observed("", before=before, after={**before, "cgroup: cpu": "/"}))
    assert [(row.subject, row.after, row.verdict) for row in moved.findings] == [("cgroup: cpu", "/", "moved")]


def test_mounts_of_other_directories_are_no_librarys() -> None:
    from pyrunc.hostile.surroundings import _is_below

    line = b"36 35 98:0 / %s rw,noatime shared:1 - tmpfs tmpfs rw"
    assert _is_below(line % b"/b/rootfs", b"/b/rootfs") and _is_below(line % b"/b/rootfs/home", b"/b/rootfs")
    assert not _is_below(line % b"/b/rootfs2", b"/b/rootfs") and not _is_below(line % b"/x/b/rootfs", b"/b/rootfs")
    assert _is_below(line % rb"/a\040b/rootfs/x\134y", b"/a b/rootfs") and not _is_below(b"", b"/b/rootfs")


def test_the_root_is_looked_for_as_mountinfo_has_it(tmp_path: Path) -> None:
    from pyrunc.hostile.surroundings import Surroundings

    (tmp_path / "link").symlink_to(tmp_path / "a b")
    (tmp_path / "a b").mkdir()
    assert Surroundings([f"{tmp_path}/link", "/"]).roots == [bytes(tmp_path / "a b")]
