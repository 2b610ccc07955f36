"""`delete --force` removes every container: each part of it is tried even if others fail."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box, cgroups_of, wait_for


def state_of(box: Box, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((box.root / name / "state.json").read_text())
    return found


def change_state(box: Box, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    state = state_of(box, name)
    change(state)
    (box.root / name / "state.json").write_text(json.dumps(state))


HOOKS: list[dict[str, Any]] = [
    {"path": "/bin/true", "env": [""]},
    {"path": "/bin/true", "args": [""]},
    {"path": "/bin/true", "timeout": 1 << 31},
    {"path": "/bin/true", "timeout": (1 << 63) - 1},
    {"path": "/nowhere"},
    {"path": "/bin/false"},
    {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $$"]},
    {"path": "/bin/sh", "args": ["sh", "-c", "sleep 100"], "timeout": 1},
    {"path": "/" + "x" * 5000},
]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: json.dumps(hook)[:60])
def test_no_poststop_hook_keeps_a_container(box: Box, hook: dict[str, Any]) -> None:
    """An invalid hook is refused at create, by its name; one that fails at the end is a warning."""
    name, bundle = box.new_id(), box.bundle("sleep 100", lambda config: config.update(hooks={"poststop": [hook]}))
    quiet = {"capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if box.call("create", "-b", str(bundle), name, **quiet).returncode:
        done = box.call("create", "-b", str(bundle), name)
        assert done.stderr.startswith("pyrunc: hooks.poststop[0]") and done.stderr.count("\n") == 1
        return
    box.ok("start", name)
    done = box.call("delete", "--force", name)
    assert done.returncode == 0 and "internal error" not in done.stderr, done.stderr
    assert not (box.root / name).exists() and not cgroups_of(name)


def test_what_is_left_is_named_and_a_second_call_finishes(box: Box, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo >> {ran}"]}
    name = box.start("sleep 100", lambda config: config.update(hooks={"poststop": [hook]}))
    held = tmp_path / "held"
    (held / "inner").mkdir(parents=True)
    (held / "inner" / "file").touch()
    change_state(box, name, lambda state: state["cgroups"].update(held=str(held)))
    pid = state_of(box, name)["pid"]
    done = box.call("delete", "--force", name)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and str(held) in done.stderr, done.stderr
    assert not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    assert not cgroups_of(name) and ran.read_text() == "\n"
    (held / "inner" / "file").unlink()
    box.ok("delete", "--force", name)
    assert not (box.root / name).exists() and ran.read_text() == "\n"  # once


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "no JSON": lambda path: path.write_text("{"),
    "another thing": lambda path: path.write_text("[1]"),
    "a surrogate": lambda path: path.write_text('{"pid": 1, "bundle": "\\ud800"}'),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "no fields": lambda path: path.write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state(box: Box, damage: str) -> None:
    """Unknown parts cannot be removed, but the error says so, and the id is free again."""
    name = box.start("sleep 100")
    state = state_of(box, name)
    try:
        DAMAGE[damage](box.root / name / "state.json")
        refused = box.call("delete", name)
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1
        done = box.call("delete", "--force", name)
        assert done.returncode == 0 and "state.json" in done.stderr, done.stderr
        assert not (box.root / name).exists()
    finally:
        os.kill(state["pid"], signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{state['pid']}").exists(), "init to be gone")
        for path in cgroups_of(name):
            os.rmdir(path)


@pytest.mark.parametrize("field", ["config", "annotations", "bundle", "intel_rdt", "owner", "descriptors"])
def test_a_damaged_field(box: Box, field: str) -> None:
    """Everything else is still known, and is removed."""
    name = box.start("sleep 100")
    change_state(box, name, lambda state: state.update({field: 1.5}))
    box.ok("delete", "--force", name)
    assert not (box.root / name).exists() and not cgroups_of(name)


@pytest.mark.parametrize("config", [{}, {"hooks": 3}, {"hooks": {"poststop": [{}]}}, {"linux": {"namespaces": 5}}])
def test_a_damaged_config(box: Box, config: dict[str, Any]) -> None:
    name = box.start("sleep 100")
    change_state(box, name, lambda state: state.update(config=config))
    box.ok("delete", "--force", name)
    assert not (box.root / name).exists() and not cgroups_of(name)


WAITS = {"startContainer": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}


def starting(box: Box) -> tuple[str, "subprocess.Popen[bytes]"]:
    """A container whose `start` waits for the image, with the lock held."""
    name = box.create("true", lambda config: config.update(hooks=WAITS))
    init = box.state(name)["pid"]
    process = subprocess.Popen([PYRUNC, "--root", str(box.root), "start", name], stderr=subprocess.PIPE)
    children = Path(f"/proc/{init}/task/{init}/children")
    wait_for(lambda: children.exists() and children.read_text(), "the hook to run")
    return name, process


def test_a_start_that_waits_can_be_ended(box: Box) -> None:
    name, process = starting(box)
    threading.Event().wait(0.3)  # later than the time at which it begins to handle signals
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    assert process.stderr and process.stderr.read() == b"pyrunc: ended by signal 15\n"
    process.stderr.close()
    box.ok("delete", "--force", name)


def test_a_start_that_waits_holds_no_delete_up(box: Box) -> None:
    name, process = starting(box)
    box.ok("delete", "--force", name, timeout=9)
    # Init's end and its execve both close the connection: `start` cannot tell them apart.
    assert process.wait(10) in (0, 1) and process.stderr
    assert process.stderr.read() in (b"", b"pyrunc: container not running\n")
    process.stderr.close()
