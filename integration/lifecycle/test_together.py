"""Two commands on one container at the same time: they wait for each other, or one reports a clear error."""

import itertools
import json
import subprocess
from collections.abc import Callable

import pytest

from harness import PYRUNC, Box, cgroups_of

WORDS: dict[str, Callable[[str], list[str]]] = {
    "start": lambda name: ["start", name],
    "exec": lambda name: ["exec", name, "true"],
    "kill": lambda name: ["kill", name, "KILL"],
    "kill --all": lambda name: ["kill", "--all", name, "KILL"],
    "delete": lambda name: ["delete", name],
    "delete --force": lambda name: ["delete", "--force", name],
    "pause": lambda name: ["pause", name],
    "resume": lambda name: ["resume", name],
    "update": lambda name: ["update", "--pids-limit", "60", name],
    "state": lambda name: ["state", name],
    "events": lambda name: ["events", "--stats", name],
    "ps": lambda name: ["ps", "--format", "json", name],
}
EXPECTED = (
    *("does not exist", "not running", "cannot start a container", "cannot exec in", "not stopped", "cannot pause"),
    *("cannot resume", "was ended by signal 9", "no such process"),
)
"""Messages that a command may print if it came too late or too early."""


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations_with_replacement(WORDS, 2)))
def test_two_at_once(box: Box, one: str, other: str) -> None:
    name = box.create()
    if "start" not in (one, other):
        box.ok("start", name)
    command = [PYRUNC, "--root", str(box.root)]
    started = [
        subprocess.Popen([*command, *WORDS[word](name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for word in (one, other)
    ]
    if "exec" in (one, other) and "pause" in (one, other):
        # If the exec was second, it waits until the container is resumed, as with --ignore-paused.
        started[one != "pause"].wait(30)
        box.call("resume", name)
    for process in started:
        output, said = process.communicate(timeout=30)
        words = process.args[3:]  # type: ignore[index]
        if process.returncode == 0:
            assert said == "", (words, said)
        elif words[0] == "exec" and process.returncode == 128 + 9:
            assert said == ""  # it was killed with its container
        else:
            assert said.startswith("pyrunc: ") and said.count("\n") == 1, (words, said)
            assert any(expected in said for expected in EXPECTED), (words, said)
        if words[0] in ("state", "ps") and process.returncode == 0:
            json.loads(output)
    box.ok("delete", "--force", name)
    assert not cgroups_of(name) and not (box.root / name).exists()
