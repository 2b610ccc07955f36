"""`pyrunc check`: a row reports what was tried; the exit status shows whether a container can run."""

import json
import os
from pathlib import Path

import pytest
from launched import pyrunc

from pyrunc.errors import PyruncError
from pyrunc.hostcheck import cgroups, container, user
from pyrunc.hostcheck.rows import LIMITED, NO, YES, Row, table, tried


def test_what_the_kernel_refuses_is_said_with_its_remedy() -> None:
    def refused() -> str:
        raise PermissionError(1, "Operation not permitted")

    row = tried("kernel", "x", refused, "sysctl y", required=True)
    assert (row.works, row.detail, row.remedy, row.required) == (NO, "operation not permitted", "sysctl y", True)
    assert tried("kernel", "x", lambda: "1.2").data() == Row("kernel", "x", YES, "1.2").data()


def test_the_remedy_stands_below_its_row() -> None:
    lines = table([Row("a", "b", YES, "c"), Row("aa", "bb", LIMITED, "d", "do this")]).splitlines()
    assert lines[0] == "a   b   yes      c" and lines[1] == "aa  bb  limited  d" and lines[2].strip() == "-> do this"


def test_sub_ids_are_those_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("other:1:2\nme:100000:65536\nme:300000:10\n")
    assert user._ranges(str(file), "me") == ["100000:65536", "300000:10"]
    assert user._ranges(str(tmp_path / "absent"), "me") == []


def test_a_user_without_a_systemd_of_his_own_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    row = cgroups._user_manager("systemd 252")
    assert row.works == NO and "/nowhere/bus" in row.detail and "enable-linger" in row.remedy


def test_a_container_that_runs_without_cgroups_only_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_run", lambda manager: "not ours" if manager == "cgroupfs" else "")
    (row,) = container.rows()
    assert (row.works, row.required) == (LIMITED, True) and "not ours" in row.detail
    monkeypatch.setattr(container, "_run", lambda manager: "no namespaces")
    (row,) = container.rows()
    assert (row.works, row.detail) == (NO, "no namespaces")


def test_the_status_says_whether_a_container_can_run() -> None:
    done = pyrunc("check", "--format", "json")
    rows = json.loads(done.stdout)
    assert done.returncode == int(any(row["required"] and row["works"] == NO for row in rows))
    areas = {row["area"] for row in rows}
    assert areas >= {"kernel", "security", "cgroups", "user", "programs", "pyrunc", "engines", "container"}
    if os.geteuid() == 0:
        assert {row["name"]: row["works"] for row in rows}["new mount API"] == YES


def test_a_refused_run_names_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PyruncError("root.path: no such file")

    monkeypatch.setattr(container, "_quietly", refuse)
    assert container._run("disabled") == "root.path: no such file"
