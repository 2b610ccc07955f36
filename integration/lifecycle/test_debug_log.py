"""--debug: decisions and actions are logged, in text and in JSON; without --debug nothing changes."""

import json
import re
import subprocess
from typing import Any

import pytest
from peers import also_on

from harness import Box


def secret(config: dict[str, Any]) -> None:
    config["process"]["env"].append("PASSWORD=do-not-log-this")
    config["hooks"] = {"createRuntime": [{"path": "/bin/true", "env": ["TOKEN=do-not-log-this"]}]}


@pytest.mark.parametrize("form", ["text", "json"])
@also_on("runc")
def test_every_command_logs_what_it_did(box: Box, form: str) -> None:
    file = box.directory / "log"
    name = box.new_id()
    bundle = box.bundle("sleep 100", secret)
    quiet: dict[str, Any] = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    debug = ["--debug", "--log", str(file), "--log-format", form]
    for words in (["create", "-b", str(bundle), name], ["start", name], ["exec", name, "true"], ["delete", "-f", name]):
        assert box.call(*debug, *words, **quiet).returncode == 0
    lines = file.read_text().splitlines()
    assert len(lines) > 20
    if form == "json":
        entries = [json.loads(line) for line in lines]
        assert all({"level", "msg", "time"} <= set(entry) for entry in entries)
        assert any(entry["level"] == "debug" for entry in entries)
    else:
        assert all(re.match(r'time="[^"]+" level=\w+ msg=', line) for line in lines)
    assert "do-not-log-this" not in file.read_text()


def test_the_plan_and_each_step_that_was_done_are_told(box: Box) -> None:
    file = box.directory / "log"
    name = box.new_id()
    done = box.call("--debug", "--log", str(file), "run", "-b", str(box.bundle("true", secret)), name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = file.read_text()
    for words in (
        "plan: ",
        "cgroup-create done",
        "record done",
        "cloned process",
        "hooks.createRuntime[0]: exit",
        "executed the program",
        "run: exit status 0",
        "PASSWORD",
    ):
        assert words in text, words


def test_each_verb_says_what_it_did(box: Box) -> None:
    file = box.directory / "log"
    debug = ["--debug", "--log", str(file)]
    name = box.start()
    expected = {
        ("pause", name): "frozen",
        ("resume", name): "thawed",
        ("update", "--pids-limit", "50", name): "linux.resources.pids.limit: pids.max is 50",
        ("kill", name, "KILL"): "signal 9 sent to process",
        ("state", name): "state: exit status 0",
    }
    for words, told in expected.items():
        file.unlink(missing_ok=True)
        assert box.call(*debug, *words).returncode == 0
        assert told in file.read_text(), (words, file.read_text())
    box.await_status(name, "stopped")
    file.unlink()
    assert box.call(*debug, "delete", name).returncode == 0
    assert "remove" in file.read_text()


def test_without_debug_nothing_is_written(box: Box) -> None:
    file = box.directory / "log"
    done = box.call("--log", str(file), "run", "-b", str(box.bundle("true", secret)), box.new_id())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and file.read_text() == ""


def test_an_error_is_logged_once_and_told_on_standard_error(box: Box) -> None:
    file = box.directory / "log"
    done = box.call("--debug", "--log", str(file), "state", "absent")
    assert done.returncode == 1 and done.stderr == 'pyrunc: container "absent" does not exist\n'
    assert file.read_text().count("level=error") == 1
