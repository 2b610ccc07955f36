"""`audit-lib`: what merely loading a library does."""

import glob
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hostile_box import Stage, running

from harness import NOBODY, PYRUNC, skip_unless_a_user_may_run_it

MULTIARCH = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=False).stdout.strip()
HARMLESS = (
    *("liblxc.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "libz.so.1", "libcap.so.2"),
    *("libselinux.so.1", "libpcre2-8.so.0", "liblzma.so.5", "libsystemd.so.0", "libgcrypt.so.20", "libblkid.so.1"),
)


def audit(stage: Stage, path: str, *words: str) -> dict[str, Any]:
    done = stage.box.call("audit-lib", "--format", "json", *words, path)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["harmless"] else 1), done.stderr
    assert not glob.glob("/sys/fs/cgroup/**/pyrunc-audit-*", recursive=True) and not (
        path.startswith(str(stage.scene.directory)) and running(path)
    )
    return found


def deeds(found: dict[str, Any]) -> dict[str, str]:
    """{subject: verdict} of what it did; of several cgroups, files or descriptors in one."""
    rows = [row for row in found["rows"] if row["verdict"] != "unchanged"]
    return {row["subject"].partition(":")[0]: row["verdict"] for row in rows}


@pytest.mark.parametrize("name", HARMLESS)
def test_ordinary_libraries_are_harmless(stage: Stage, name: str) -> None:
    places = [Path("/usr/lib") / MULTIARCH / name, Path("/lib") / MULTIARCH / name]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        pytest.skip(f"{name} is not installed")
    found = audit(stage, str(path))
    assert found["outcome"] == "loaded" and found["harmless"] and not deeds(found)
    assert found["milliseconds"] > 0


LXC = {"cgroup": "moved", "socket connected": "connected"}
OWN = {"cgroup": "moved", "file": "opened for writing"}
DEEDS: dict[str, dict[str, str]] = {
    "crashes": {"loading": "does not come back"},
    "descriptors": {"descriptor": "left open"},
    "drops": {"capabilities": "changed"},
    "environment": {"environment": "changed"},
    "exits": {"loading": "does not come back"},
    "files": {"file": "created or written"},
    "forks": {"processes forked": "left running"},
    "hangs": {"loading": "does not come back"},
    "late_thread": {"cgroup": "moved", "threads started": "started", "file": "opened for writing"},
    "lxc1": LXC,
    "lxc2": {**LXC, "cgroups created": "left behind"},
    "own_write": OWN,
    "prints": {"output": "printed"},
    "raises": {"capabilities": "changed"},
    "settings": {
        **dict.fromkeys(("umask", "signal mask", "ignored signals", "working directory", "limit", "nice"), "changed"),
        "oom score": "changed",
        "file": "opened for writing",
    },
    "unified_too": OWN,
}


def test_every_stand_in_has_its_deeds_here() -> None:
    from build import LIBRARIES

    assert sorted(DEEDS) == LIBRARIES


@pytest.mark.parametrize("name", DEEDS)
def test_every_deed_of_a_stand_in_is_named_and_no_other(stage: Stage, name: str) -> None:
    found = audit(stage, stage.scene.library(name), "--timeout", "0.5")
    expected = dict(DEEDS[name])
    said = deeds(found)
    said.pop("signal handlers", None)
    assert said == expected
    if name in ("lxc1", "lxc2", "own_write", "unified_too", "late_thread"):
        moved = {row["subject"] for row in found["rows"] if row["verdict"] == "moved"}
        assert len(moved) >= 9 and ("cgroup: cgroup2" in moved) == (not name.startswith("lxc"))
        assert all(row["after"] == "/" for row in found["rows"] if row["verdict"] == "moved")


def test_how_it_ended_is_told(stage: Stage) -> None:
    outcomes = {name: audit(stage, stage.scene.library(name), "--timeout", "0.5")["outcome"] for name in DEEDS}
    assert outcomes["crashes"] == "crashed: signal 11 (Segmentation fault)"
    assert outcomes["exits"] == "ended the process: exit status 0"
    assert outcomes["hangs"] == "did not come back within 0.5 s"
    assert set(outcomes.values()) - {outcomes[name] for name in ("crashes", "exits", "hangs")} == {"loaded"}


def test_the_table_says_before_after_and_verdict(stage: Stage) -> None:
    done = stage.box.call("audit-lib", stage.scene.library("lxc2"))
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "SUBJECT BEFORE AFTER VERDICT"
    own = f"/pyrunc-hostile-{os.getpid()}/pyrunc-audit-"
    assert any(line.startswith(f"cgroup: pids {own}") and line.endswith(" / moved") for line in lines)
    assert any(line.startswith("cgroups created - ") and line.endswith("left behind") for line in lines)
    assert "not harmless: " in lines[-1]


def test_unresolved_symbols_are_told(stage: Stage) -> None:
    library = stage.box.directory / "made.so"
    source = "void missing(void); void call(void) { missing(); }"
    command = ["gcc", "-x", "c", "-", "-shared", "-fPIC", "-o", library]
    subprocess.run(command, input=source, text=True, check=True)
    done = stage.box.call("audit-lib", str(library))
    assert done.returncode == 1 and "undefined symbol: missing" in done.stdout


def test_as_a_user_it_says_what_it_cannot_show(stage: Stage) -> None:
    skip_unless_a_user_may_run_it()
    directory = stage.scene.directory
    os.chmod(directory, 0o755)
    found = audit_as_nobody(stage, stage.scene.library("descriptors"))
    assert found["outcome"] == "loaded" and deeds(found) == {"descriptor": "left open"}
    assert any(note.startswith("not root: ") for note in found["notes"])
    # liblxc acts for root only.
    assert "cgroup" not in deeds(audit_as_nobody(stage, stage.scene.library("lxc2")))


def audit_as_nobody(stage: Stage, path: str) -> dict[str, Any]:
    done = stage.box.call("audit-lib", "--format", "json", path, **NOBODY)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_in_a_pid_namespace_it_says_so(stage: Stage) -> None:
    command = ["unshare", "--pid", "--fork", "--mount-proc", PYRUNC, "audit-lib", stage.scene.library("files")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "note: in a pid namespace" in done.stdout, done.stderr
