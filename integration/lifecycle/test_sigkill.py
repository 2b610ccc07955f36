"""SIGKILL between any two effects of pyrunc, of its helper and of init (kill_at.py), for every command.

``delete --force`` removes whatever was half made. If another process than pyrunc was killed, pyrunc has removed it
already, and reports the failure in one line.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from criu_stand_in import StandIn, prepared_image

from harness import PYRUNC, TOP, Box, cgroups_of, namespace, user_namespace, wait_for

KILLER = str(TOP / "integration" / "support" / "kill_at.py")
EVERY = int(os.environ.get("SIGKILL_EVERY", "3"))
"""Slow commands are killed at every Nth effect, others at each effect. With 1 the tests take a minute more."""


def killing(box: Box, role: str, number: int, *words: str, **settings: Any) -> tuple[dict[str, Any], str]:
    """Runs kill_at.py; returns (its report, pyrunc's messages)."""
    path = box.directory / "words"
    with open(path, "w") as file:
        subprocess.run(
            [sys.executable, KILLER, role, str(number), PYRUNC, "--root", str(box.root), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            timeout=60,
            check=True,
            **settings,
        )
    said, _, told = path.read_text().rpartition('{"effects"')
    result: dict[str, Any] = json.JSONDecoder().raw_decode('{"effects"' + told)[0]
    return result, said


def alive(pid: int, start_time: str) -> bool:
    try:
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == start_time and fields[0] != "Z"


def running(result: dict[str, Any]) -> list[int]:
    return [pid for pid, start_time in result["seen"] if alive(pid, start_time)]


def nothing_left(box: Box, name: str, result: dict[str, Any]) -> None:
    box.ok("delete", "--force", name)
    wait_for(lambda: not running(result), f"the processes of {result['at']} to end")
    assert cgroups_of(name) == []
    assert not (box.root / name).exists()
    assert str(box.directory) not in open("/proc/self/mountinfo").read()


def sweep(role: str, once: Callable[[int], dict[str, Any]], first: int = 1, step: int = 1) -> None:
    """Calls ``once`` with 1, 2, ... until no process is killed."""
    number = first
    while once(number)["at"]:
        number += step
    assert number > first, f"{role} has no effects"


def one_line(said: str) -> bool:
    return said.startswith("pyrunc: ") and said.count("\n") == 1 and "Traceback" not in said


def every_kind(config: dict[str, Any]) -> None:
    """Configures one of each kind of resource."""
    user_namespace(config)
    namespace(config, "cgroup")
    config["hostname"] = "killed"
    config["linux"]["resources"] = {
        **config["linux"].get("resources", {}),
        "memory": {"limit": 1 << 26},
        "pids": {"limit": 9},
    }
    config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}


@pytest.mark.parametrize("role", ["pyrunc", "helper", "init"])
@pytest.mark.parametrize("words", [["create"], ["run", "-d"]], ids=lambda words: str(words[0]))
def test_while_creating(box: Box, role: str, words: list[str]) -> None:
    bundle = str(box.bundle("sleep 100", every_kind if words == ["create"] else None))

    def once(number: int) -> dict[str, Any]:
        name = box.new_id()
        result, said = killing(box, role, number, *words, "-b", bundle, name)
        if result["at"] and role != "pyrunc" and result["status"]:
            assert one_line(said), (result, said)
            assert not (box.root / name).exists() and not cgroups_of(name), (number, result)
            wait_for(lambda: not running(result), f"{result['at']} to leave no process")
        elif result["at"] == "exit_group":  # the helper, which has finished its part
            assert box.state(name)["status"] in ("created", "running")
        elif result["at"] and role != "pyrunc":
            # The container was complete already: its init was killed like any other.
            assert box.state(name)["status"] == "stopped"
        nothing_left(box, name, result)
        return result

    first = 2 if words == ["create"] and EVERY > 1 else 1
    sweep(role, once, *((first, EVERY) if role == "init" else ()))


def test_while_starting(box: Box) -> None:
    def once(number: int) -> dict[str, Any]:
        name = box.create("sleep 100", lambda config: config.update(hooks={"poststart": [{"path": "/bin/true"}]}))
        result, _ = killing(box, "pyrunc", number, "start", name)
        # Either not started or started: nothing between.
        assert box.state(name)["status"] in ("created", "running"), result
        started = box.call("start", name)
        assert started.returncode == 0 or "cannot start a container that is running" in started.stderr, started.stderr
        assert box.state(name)["status"] == "running"
        nothing_left(box, name, result)
        return result

    sweep("pyrunc", once)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_while_deleting(box: Box, paused: bool) -> None:
    def once(number: int) -> dict[str, Any]:
        name = box.start("sleep 100 & sleep 100")
        if paused:
            box.ok("pause", name)
        result, _ = killing(box, "pyrunc", number, "delete", "--force", name)
        nothing_left(box, name, result)
        return result

    sweep("pyrunc", once)


def test_while_deleting_what_has_ended(box: Box) -> None:
    def once(number: int) -> dict[str, Any]:
        name = box.start("true")
        box.await_status(name, "stopped")
        result, _ = killing(box, "pyrunc", number, "delete", name)
        nothing_left(box, name, result)
        return result

    sweep("pyrunc", once)


@pytest.mark.parametrize("role", ["pyrunc", "helper", "init"])
def test_while_executing(box: Box, role: str) -> None:
    name = box.start("sleep 100")
    init = box.state(name)["pid"]

    def members() -> list[str]:
        return [
            open(f"/proc/{pid}/cmdline").read().replace("\0", " ").strip()
            for pid in json.loads(box.ok("ps", "--format", "json", name))
            if pid != init
        ]

    def once(number: int) -> dict[str, Any]:
        result, said = killing(box, role, number, "exec", "-d", name, "sleep", "99")
        assert box.state(name)["status"] == "running"
        if result["at"] and role != "pyrunc" and result["status"]:
            assert result["status"] == 255 and one_line(said), (result, said)
        # The program, or no process: no helper stays.
        wait_for(lambda: set(members()) <= {"sleep 99"}, f"{result['at']} to leave the program or nothing: {members()}")
        for pid in running(result):
            os.kill(pid, 9)
        wait_for(lambda: not members(), "the program to end")
        return result

    sweep(role, once)
    nothing_left(box, name, {"at": "", "seen": []})


@pytest.mark.parametrize("command", ["pause", "resume", "kill", "update"])
def test_while_changing_something(box: Box, command: str) -> None:
    name = box.start("sleep 100")
    words = {"kill": ["kill", name, "URG"], "update": ["update", "--pids-limit", "50", name]}.get(
        command, [command, name]
    )

    def once(number: int) -> dict[str, Any]:
        if command == "resume" and box.state(name)["status"] != "paused":
            box.ok("pause", name)
        result, _ = killing(box, "pyrunc", number, *words)
        # The next command finds a usable container.
        if box.state(name)["status"] == "paused":
            box.ok("resume", name)
        assert box.ok("exec", name, "echo", "alive") == "alive\n"
        return result

    sweep("pyrunc", once)
    nothing_left(box, name, {"at": "", "seen": []})


def test_while_restoring(box: Box) -> None:
    criu = StandIn(box)
    prepared_image(box, criu)
    bundle = str(box.bundle("true"))

    def once(number: int) -> dict[str, Any]:
        name = box.new_id()
        words = ["restore", "-d", "--image-path", str(criu.image), "-b", bundle, name]
        result, _ = killing(box, "pyrunc", number, *words, env=criu.env())
        nothing_left(box, name, result)
        return result

    sweep("pyrunc", once, step=2 * EVERY + 1)


def test_while_checkpointing(box: Box) -> None:
    criu = StandIn(box)

    def once(number: int) -> dict[str, Any]:
        name = box.start("sleep 100")
        result, _ = killing(box, "pyrunc", number, "checkpoint", "--image-path", str(criu.image), name, env=criu.env())
        nothing_left(box, name, result)
        return result

    sweep("pyrunc", once, step=2 * EVERY + 1)
