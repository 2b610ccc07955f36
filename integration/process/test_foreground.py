"""`run` in the foreground: signals that stop a process, and a program that cannot be executed."""

import os
import signal
import stat
import subprocess
from typing import Any

import pytest
from peers import also_on

from harness import Box

STOPPING = ["TSTP", "TTIN", "TTOU"]


@pytest.mark.parametrize("name", STOPPING)
@also_on("runc")
def test_a_signal_that_would_stop_us_is_passed_on(box: Box, name: str) -> None:
    script = f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.01; done"
    words = [*box.command, "run", "-b", str(box.bundle(script)), box.new_id()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stdout.readline() == "ready\n"
        os.kill(running.pid, getattr(signal, f"SIG{name}"))
        assert running.stdout.readline() == "got\n"
        assert running.wait(10) == 3


def broken(box: Box, text: str) -> Any:
    """Makes a program that exists and is executable, but that execve(2) refuses."""

    def change(config: dict[str, Any]) -> None:
        program = box.own_rootfs(config) / "broken"
        program.write_text(text)
        program.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)

    return change


@pytest.mark.parametrize("text", ["garbage", "#!/no/interpreter\n"])
@also_on("runc>=1.5")
def test_run_of_a_program_that_execve_refuses_exits_with_255(box: Box, text: str) -> None:
    done = box.run(["/broken"], broken(box, text))
    assert done.returncode == 255 and "exec /broken: " in done.stderr
    assert not box.leftovers()


@also_on("runc")
def test_run_of_a_program_that_is_not_there_exits_with_1(box: Box) -> None:
    done = box.run(["/absent"])
    assert done.returncode == 1 and "/absent" in done.stderr


@pytest.mark.parametrize("words", [["run", "--detach"], ["create"]])
def test_detached_the_failure_is_told_by_the_command_that_started_it(box: Box, words: list[str]) -> None:
    """runc only logs the failure: its `run --detach` and `start` exit with 0."""
    name = box.new_id()
    quiet: dict[str, Any] = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    done = box.call(*words, "-b", str(box.bundle(["/broken"], broken(box, "garbage"))), name, **quiet)
    if words == ["create"]:
        assert done.returncode == 0
        done = box.call("start", name)
    assert done.returncode == 1
