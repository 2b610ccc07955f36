"""Failures or kills at system calls of the helper on whose answer a defence depends (inject_at.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helper_plan import PROCFS, Image, hook, step

from harness import PYRUNC, TOP, Box, wait_for
from pyrunc.errors import StepError
from pyrunc.linux import procfs

INJECTOR = str(TOP / "integration" / "support" / "inject_at.py")


def injected(box: Box, role: str, number: str, error: str, *words: str) -> tuple[dict[str, Any], str, str]:
    """Runs inject_at.py; returns (its report, standard output, pyrunc's messages)."""
    command = [sys.executable, INJECTOR, role, number, error, PYRUNC, "--root", str(box.root), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said, _, told = done.stderr.rpartition('{"calls"')
    return json.loads('{"calls"' + told), done.stdout, said


def test_the_holder_of_a_user_namespace_ends_with_the_helper(box: Box) -> None:
    """The helper is killed at any of its calls while that child exists: no other process knows the child's pid."""
    source = box.directory / "mapped"
    source.mkdir()
    mapping = [{"containerID": 0, "hostID": 100000, "size": 10}]
    mount = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["rbind"]}

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({**mount, "uidMappings": mapping, "gidMappings": mapping})

    bundle = str(box.bundle("true", change))
    # The calls between the clone and the wait for the child's end: write the maps, open the namespace.
    for call in ("openat", "write", "close", "kill", "wait4"):
        for number in range(1, 100):
            name = box.new_id()
            result, _, _ = injected(box, "helper", f"{call}/{number}", "KILL", "run", "-b", bundle, name)
            left = [pid for pid, started in result["seen"]]
            wait_for(lambda left=left: all(procfs.started(pid) is None for pid in left), f"{left} to end, at {call}")
            if not result["at"]:
                break
        assert number > 1 or call in ("kill", "wait4", "close"), call


def test_a_list_of_mounts_that_can_not_be_read_is_no_empty_list(box: Box) -> None:
    """Without pivot_root the host's procfs would stay, and a user namespace inside could mount one without masks."""
    nested = "unshare -U -r -m -p -f sh -c 'mount -t proc proc /tmp 2>/dev/null && echo revealed'; true"
    bundle = str(box.bundle(nested, lambda config: config["process"].update(user={"uid": 1000, "gid": 1000})))
    told = []
    for number in range(1, 100):
        result, shown, said = injected(
            box, "init", f"read/{number}", "EIO", "run", "--no-pivot", "-b", bundle, box.new_id()
        )
        assert shown == "", said
        told.append(said)
        if not result["at"]:
            break
    assert any("read the mounts of the namespace: input/output error" in said for said in told), told


LABEL = step("security-label", "exec", "label")
COVER = "mount --bind etc/victim proc/$PPID/task/$PPID/attr/exec"
"""A hook, which is a child of init, mounts this over the file that init writes its label to."""


@pytest.mark.parametrize(
    ("error", "script", "words"),
    [
        # As without CAP_SYS_ADMIN: the procfs at /proc is used, but nothing mounted over its files.
        ("EPERM", COVER, 'write "label" to /proc/thread-self/attr/exec: invalid cross-device link'),
        ("EPERM", "true", 'write "label" to /proc/thread-self/attr/exec: invalid argument'),  # the kernel has no LSM
        ("ENOMEM", "true", "open a procfs: cannot allocate memory"),
        ("EACCES", COVER, "open a procfs: permission denied"),
    ],
)
def test_a_label_is_written_to_procfs_or_nowhere(tmp_path: Path, error: str, script: str, words: str) -> None:
    """The second fsopen(2) of init fails; the first is for the container's /proc."""
    command = [sys.executable, INJECTOR, "init", "fsopen/2", error, sys.executable, __file__, str(tmp_path), script]
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert words in done.stdout.lower(), (done.stdout, done.stderr)
    assert (tmp_path / "root" / "etc" / "victim").read_text() == "as it was"


def label(directory: Path, script: str) -> None:
    image = Image(directory)
    (image.root / "etc" / "victim").write_text("as it was")
    try:
        image.run([PROCFS, hook(script), step("pivot"), LABEL])
    except StepError as error:
        print(error)


if __name__ == "__main__":
    label(Path(sys.argv[1]), sys.argv[2])
