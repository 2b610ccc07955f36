"""Each step of the runtime is executed from its own arguments: the launch here has no plan."""

import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import PyruncError, SpecError, StepError
from pyrunc.launch import actions
from pyrunc.launch.actions import ACTIONS
from pyrunc.launch.conversation import Launch
from pyrunc.plan.steps import Step


@pytest.fixture
def launch() -> Launch:
    made = Launch([], {})
    made.pid = os.getpid()
    return made


def act(launch: Launch, kind: str, *args: Any, where: str = "here") -> None:
    ACTIONS[kind](launch, Step(kind, where, *args))


def test_cgroups_are_made_limited_and_rolled_back(launch: Launch, tmp_path: Path) -> None:
    act(launch, "cgroup-create", [f"pids:{tmp_path}/a/b"])
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "b" / "pids.max").write_text("max")
    act(launch, "cgroup-limit", f"{tmp_path}/a/b/pids.max", "5", 0)
    assert (tmp_path / "a" / "b" / "pids.max").read_text() == "5ax"  # one write, as cgroup files require
    act(launch, "cgroup-limit", f"{tmp_path}/a/b/absent", "5", 1)
    with pytest.raises(SpecError, match=r"^linux\.resources\.x: the host's kernel has no absent$"):
        act(launch, "cgroup-limit", f"{tmp_path}/a/b/absent", "5", 0, where="linux.resources.x")
    (tmp_path / "a" / "b" / "pids.max").unlink()
    assert launch.rollback.run() and not (tmp_path / "a" / "b").exists()


def test_the_process_is_put_into_the_directories_of_the_step(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    act(launch, "cgroup-place", [f"pids:{tmp_path}"], 0, "")
    assert (tmp_path / "cgroup.procs").read_text() == str(os.getpid())


def test_device_rules_are_those_of_the_step(launch: Launch, tmp_path: Path) -> None:
    for name in ("devices.allow", "devices.deny"):
        (tmp_path / name).touch()
    act(launch, "cgroup-devices", f"devices:{tmp_path}", ["deny a", "c 1:3 rwm"])
    assert (tmp_path / "devices.deny").read_text() == "a"
    assert (tmp_path / "devices.allow").read_text() == "c 1:3 rwm"


def test_a_hook_gets_the_state_and_the_environment_of_the_step(launch: Launch, tmp_path: Path) -> None:
    script = f'cat >{tmp_path}/state; echo "$WORD" >{tmp_path}/word'
    script += f"; pwd >{tmp_path}/place"
    act(launch, "runtime-hook", "/bin/sh", ["sh", "-c", script], ["WORD=x"], '{"pid":', "}", 5, str(tmp_path))
    assert (tmp_path / "place").read_text() == f"{tmp_path}\n"
    assert (tmp_path / "state").read_text() == f'{{"pid":{os.getpid()}}}'
    assert (tmp_path / "word").read_text() == "x\n"
    with pytest.raises(StepError, match=r"hooks\.prestart\[0\]: hook /bin/false: exit status 1"):
        act(launch, "runtime-hook", "/bin/false", ["false"], [], "", "", 0, "/", where="hooks.prestart[0]")


def test_the_oom_score_of_the_step_is_set(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(actions, "write", lambda path, value: written.append((path, value)))
    act(launch, "oom-score-adj", 7)
    assert written == [(f"/proc/{os.getpid()}/oom_score_adj", "7")]


def test_id_maps_are_those_of_the_step(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(actions, "write", lambda path, value: written.append((path.rpartition("/")[2], value)))
    monkeypatch.setattr(actions.posix, "geteuid", lambda: 0)
    act(launch, "map-users", ["0 1000 1", "1 100000 65536"])
    act(launch, "map-groups", ["0 1000 1"])
    assert written == [("uid_map", "0 1000 1\n1 100000 65536\n"), ("gid_map", "0 1000 1\n")]


def test_what_cannot_be_released_does_not_keep_the_rest(launch: Launch) -> None:
    done = []

    def refuse() -> None:
        raise PyruncError("busy")

    launch.rollback.add(lambda: done.append("first"))
    launch.rollback.add(refuse)
    launch.rollback.add(lambda: done.append("last"))
    assert not launch.rollback.run() and done == ["last", "first"]
    assert launch.rollback.run() and done == ["last", "first"]
