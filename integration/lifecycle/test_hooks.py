"""Hooks: time, namespaces and input of each point, and failures."""

import json
import os
from typing import Any

import pytest

from harness import Box

POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def recording(box: Box, *points: str) -> Any:
    """Adds hooks that append name, pid namespace and input to a file shared by host and container."""
    record = box.directory / "record"
    record.mkdir()

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        config["mounts"].append({"destination": "/record", "type": "bind", "source": str(record), "options": ["bind"]})
        (root / "hook").write_text(HOOK)
        (root / "hook").chmod(0o755)
        config["hooks"] = {
            point: [
                {
                    "path": "/hook" if point == "startContainer" else str(root / "hook"),
                    "args": ["hook", point],
                    "env": ["A=b", f"R={record}"],
                }
            ]
            for point in points or POINTS
        }
        for kind in ("bounding", "permitted", "effective"):
            config["process"]["capabilities"][kind].append("CAP_DAC_OVERRIDE")

    return change


HOOK = """#!/bin/sh
cd /record 2>/dev/null || cd "$R"
read state
echo "$1 $A $(readlink /proc/self/ns/mnt) $state" >> log
echo hook >> order
"""


def log(box: Box) -> list[list[str]]:
    return [line.split(" ", 3) for line in (box.directory / "record" / "log").read_text().splitlines()]


def test_all_in_order_with_their_state(box: Box) -> None:
    name = box.create("echo program >> /record/order; sleep 100", recording(box))
    assert [row[0] for row in log(box)] == ["prestart", "createRuntime", "createContainer"]
    box.ok("start", name)
    box.ok("delete", "--force", name)
    rows = log(box)
    assert [row[0] for row in rows] == list(POINTS)
    states = {row[0]: json.loads(row[3]) for row in rows}
    assert all(state["id"] == name and os.path.isdir(state["bundle"]) for state in states.values())
    assert [states[point]["status"] for point in POINTS] == ["creating"] * 3 + ["created", "running", "stopped"]
    ours = os.readlink("/proc/self/ns/mnt")
    inside = {row[0] for row in rows if row[2] != ours}
    assert inside == {"createContainer", "startContainer"}
    assert all(row[1] == "b" for row in rows)
    order = (box.directory / "record" / "order").read_text().split()
    assert order.index("program") in (4, 5)


def test_run_has_them_all(box: Box) -> None:
    change = recording(box)
    done = box.run(
        "echo program >> /record/order; while [ ! -e /record/go ]; do sleep 0.01; done", lambda c: gated(c, change)
    )
    assert done.returncode == 0, done.stderr
    rows = log(box)
    assert [row[0] for row in rows] == list(POINTS)
    assert json.loads(rows[4][3])["status"] == "running"


def gated(config: dict[str, Any], change: Any) -> None:
    """Makes the program end after poststart has run."""
    change(config)
    config["hooks"]["poststart"].append(
        {"path": "/bin/sh", "args": ["sh", "-c", "touch $R/go"], "env": [recorded(config)]}
    )


def recorded(config: dict[str, Any]) -> str:
    return str(config["hooks"]["poststart"][0]["env"][1])


def test_a_failing_poststart_ends_run(box: Box) -> None:
    done = box.run("sleep 100", lambda c: c.update(hooks={"poststart": [{"path": "/bin/false"}]}))
    assert done.returncode == 1 and done.stderr == "pyrunc: hooks.poststart[0]: hook /bin/false: exit status 1\n"
    assert not box.leftovers()


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer"])
def test_a_failing_hook_undoes_create(box: Box, point: str) -> None:
    hook = [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}]
    done = box.run("echo never", lambda c: c.update(hooks={point: hook}))
    assert done.returncode == 1 and done.stdout == ""
    assert f"hooks.{point}[0]" in done.stderr and "exit status 3: because" in done.stderr
    assert not box.leftovers()


def test_a_failing_start_hook(box: Box) -> None:
    hook = [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}]
    name = box.create("echo never", lambda c: c.update(hooks={"startContainer": hook}))
    done = box.call("start", name)
    assert done.returncode == 1 and "exit status 3: because" in done.stderr
    box.await_status(name, "stopped")


@pytest.mark.parametrize("point", ["createRuntime", "createContainer"])
def test_timeout(box: Box, point: str) -> None:
    hook = [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]
    done = box.run("echo never", lambda c: c.update(hooks={point: hook}))
    assert done.returncode == 1 and "timed out after 1 s" in done.stderr
    assert not box.leftovers()


def test_poststop_runs_on_forced_delete_and_its_failure_stops_nothing(box: Box) -> None:
    hook = [
        {"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]},
        {"path": "/bin/sh", "args": ["sh", "-c", f"touch {box.directory}/second"]},
    ]
    name = box.start("sleep 100", lambda c: c.update(hooks={"poststop": hook}))
    box.ok("delete", "--force", name)
    assert (box.directory / "second").exists()


def test_hook_may_ask_for_the_state(box: Box) -> None:
    """Docker's network hook does so. It must not wait for the lock that `create` holds."""
    from harness import PYRUNC

    script = f'{PYRUNC} --root {box.root} state $(sed \'s/.*"id":"\\([^"]*\\)".*/\\1/\') > {box.directory}/seen'
    name = box.create(
        "sleep 100", lambda c: c.update(hooks={"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
    )
    assert json.loads((box.directory / "seen").read_text())["id"] == name
