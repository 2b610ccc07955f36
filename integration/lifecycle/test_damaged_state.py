"""A damaged state.json: the error names the file, the container can be removed, other containers are listed."""

import json
from typing import Any

import pytest

from harness import Box, cgroups_of

DAMAGE: list[Any] = [
    {},
    [],
    None,
    7,
    "text",
    {"id": "x"},
    {"pid": "1"},
    {"pid": True},
    {"pid": -1, "start_time": 0},
    {"cgroups": {"memory": 5}},
    {"cgroups": []},
    {"config": {}},
    {"config": {"ociVersion": "1.0.0", "linux": {"namespaces": [{}]}}},
    {"config": {"ociVersion": "1.0.0", "linux": 5}},
    {"annotations": {"a": 1}},
    {"intel_rdt": [1]},
    {"bundle": None},
]


@pytest.mark.parametrize("change", DAMAGE, ids=repr)
def test_a_damaged_state_is_named_and_removed(box: Box, change: Any) -> None:
    other, name = box.create(), box.start()
    file = box.root / name / "state.json"
    pid = box.state(name)["pid"]
    whole = isinstance(change, dict) and change and "id" not in change
    file.write_text(json.dumps({**json.loads(file.read_text()), **change} if whole else change))
    for words in (("state", name), ("exec", name, "true"), ("kill", name, "KILL"), ("pause", name), ("delete", name)):
        done = box.call(*words)
        assert "internal error" not in done.stderr and done.stderr.count("\n") <= 1, (words, done.stderr)
    listed = box.call("list", "--quiet")
    assert listed.returncode == 0 and other in listed.stdout and "internal error" not in listed.stderr
    done = box.call("delete", "--force", name)
    assert done.returncode == 0, done.stderr
    assert not (box.root / name).exists()
    if not whole or "cgroups" in change or "pid" in change:
        kill_what_is_left(pid, name)


def kill_what_is_left(pid: int, name: str) -> None:
    """Kills the processes of a container whose damaged state names none."""
    import os
    from pathlib import Path

    if Path(f"/proc/{pid}").exists():
        os.kill(pid, 9)
    from harness import wait_for

    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "its end")
    for path in cgroups_of(name):
        Path(path).rmdir()


@pytest.mark.parametrize("text", ["", "{", "garbage", "\0", '{"pid": 1'])
def test_what_is_no_json_is_damaged_too(box: Box, text: str) -> None:
    name = box.create()
    pid = box.state(name)["pid"]
    file = box.root / name / "state.json"
    file.write_text(text)
    done = box.call("state", name)
    assert done.returncode == 1 and str(file) in done.stderr and "damaged" in done.stderr
    assert box.call("delete", "--force", name).returncode == 0
    assert not (box.root / name).exists()
    kill_what_is_left(pid, name)


def test_list_of_a_state_directory_that_is_not_there_is_empty(box: Box) -> None:
    """As with crun; runc reports an error if --root is given."""
    assert box.ok("list", "--quiet") == ""
    assert box.ok("list", "--format", "json") == "null\n"
    assert box.ok("list").split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert not box.root.exists()
