"""Commands in a time namespace, whose clocks stand elsewhere: a container is the same one from there."""

import os
import subprocess

import pytest

from harness import Box

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="the kernel has no time namespaces")


@pytest.mark.parametrize("offset", [-100, 100, 100_000])
def test_a_running_container_runs_by_other_clocks_too(box: Box, offset: int) -> None:
    name = box.start()
    clocks = ["unshare", "--time", "--boottime", str(offset), "--monotonic", str(offset), "--fork", "--"]

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*clocks, *box.command, *words], capture_output=True, text=True, timeout=60)

    assert '"status": "running"' in call("state", name).stdout
    for words in (["exec", name, "true"], ["kill", name, "URG"], ["pause", name], ["resume", name]):
        done = call(*words)
        assert done.returncode == 0, (words, done.stderr)
    refused = call("delete", name)
    assert refused.returncode == 1 and "not stopped: running" in refused.stderr
    assert box.state(name)["status"] == "running"


@pytest.mark.parametrize("offset", [-100, 100])
def test_one_that_is_made_by_other_clocks(box: Box, offset: int) -> None:
    clocks = ["unshare", "--time", "--boottime", str(offset), "--fork", "--"]
    name, bundle = box.new_id(), box.bundle("sleep 100")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([*clocks, *box.command, "run", "-d", "-b", str(bundle), name], check=True, timeout=60, **quiet)
    assert box.state(name)["status"] == "running"
    box.ok("exec", name, "true")
    box.ok("delete", "--force", name)
