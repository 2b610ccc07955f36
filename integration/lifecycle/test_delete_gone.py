"""`delete --force` if a part of a container no longer exists, is busy, or does not end."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box, cgroups_of, wait_for
from pyrunc.linux import procfs

Config = dict[str, Any]


def gone(box: Box, name: str) -> bool:
    return not (box.root / name).exists() and not cgroups_of(name)


def change_state(box: Box, name: str, **fields: Any) -> None:
    path = box.root / name / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("where", ["gone", "file/below", "file"])
def test_a_resctrl_group_that_is_not_there(box: Box, where: str) -> None:
    """It was unmounted, or never existed; a file in its place is named, and stays."""
    (box.directory / "file").touch()
    name = box.start()
    change_state(box, name, intel_rdt=[str(box.directory / where)])
    done = box.call("delete", "--force", name)
    if where == "gone":
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1 and f"remove {box.directory / where}: not a directory" in done.stderr
        change_state(box, name, intel_rdt=[])
        box.ok("delete", "--force", name)
    assert gone(box, name)


def test_a_resctrl_group_that_is_busy_keeps_no_other(box: Box) -> None:
    busy, other = box.directory / "busy", box.directory / "other"
    (busy / "inner").mkdir(parents=True)
    other.mkdir()
    name = box.start()
    change_state(box, name, intel_rdt=[str(busy), str(other)])
    done = box.call("delete", "--force", name)
    assert done.returncode == 1 and done.stderr == f"pyrunc: remove {busy}: directory not empty\n"
    assert not other.exists() and not cgroups_of(name)
    (busy / "inner").rmdir()
    box.ok("delete", "--force", name)
    assert gone(box, name) and not busy.exists()


@pytest.mark.parametrize("mounts", [True, False], ids=["own mounts", "host's mounts"])
@pytest.mark.parametrize("what", ["rootfs", "bundle"])
@pytest.mark.parametrize("force", [True, False])
def test_an_engine_removed_it_before(box: Box, what: str, mounts: bool, force: bool) -> None:
    """The poststop hook runs all the same."""
    ran = box.directory / "ran"
    paths: dict[str, Path] = {}

    def change(config: Config) -> None:
        paths["rootfs"] = box.own_rootfs(config)
        config["hooks"] = {"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"pwd > {ran}"]}]}
        if not mounts:
            spaces = config["linux"]["namespaces"]
            spaces[:] = [space for space in spaces if space["type"] != "mount"]
            config["linux"].update(maskedPaths=[], readonlyPaths=[])
            config["mounts"] = []

    paths["bundle"] = box.bundle("sleep 100" if force else "true", change)
    name = box.new_id()
    quiet: Any = {"capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    box.ok("run", "-d", "-b", str(paths["bundle"]), name, **quiet)
    if not mounts and what == "rootfs":
        subprocess.run(["umount", "-R", "-l", paths[what]], check=True)
    shutil.rmtree(paths[what])
    if not force:
        box.await_status(name, "stopped")
    box.ok("delete", *(["--force"] if force else []), name)
    assert gone(box, name) and ran.exists()
    assert str(box.directory) not in Path("/proc/self/mountinfo").read_text()


def test_a_state_directory_without_room(box: Box) -> None:
    """Deletion does not need to write anything."""
    box.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "pyrunc-test", box.root], check=True)
    try:
        hook = {"path": "/bin/false"}
        name = box.start("sleep 100", lambda config: config.update(hooks={"poststop": [hook]}))
        ballast = os.open(box.root / ".ballast", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space left"):
            while os.write(ballast, bytes(1024)):
                pass
        os.close(ballast)
        box.ok("delete", "--force", name)
        assert gone(box, name)
        (box.root / ".ballast").unlink()
    finally:
        subprocess.run(["umount", "-l", box.root], check=True)


@pytest.mark.parametrize("command", ["delete", "run"])
def test_a_poststop_hook_that_never_ends(box: Box, command: str) -> None:
    """SIGTERM ends the hook and the command, and the container is removed."""
    begun = box.directory / "begun"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo $$ > {begun}.new; mv {begun}.new {begun}; sleep 1000"]}
    bundle = box.bundle("sleep 100" if command == "delete" else "true", lambda c: c.update(hooks={"poststop": [hook]}))
    name = box.new_id()
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["run", "-b", str(bundle), name]
    if command == "delete":
        box.ok("run", "-d", "-b", str(bundle), name, capture_output=False, **quiet)
        words = ["delete", "--force", name]
    process = subprocess.Popen([PYRUNC, "--root", str(box.root), *words], **quiet)
    wait_for(begun.exists, "the hook to run")
    pid = int(begun.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    wait_for(lambda: procfs.started(pid) is None, "the hook to end")
    assert gone(box, name)


def test_a_poststop_hook_s_timeout_ends_all_of_it(box: Box) -> None:
    begun = box.directory / "begun"
    script = f"sleep 1000 & echo $! > {begun}; trap '' TERM INT; wait; sleep 1000"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1}
    name = box.start("sleep 100", lambda config: config.update(hooks={"poststop": [hook]}))
    done = box.call("delete", "--force", name)
    assert done.returncode == 0 and "timed out after 1 s" in done.stderr, done.stderr
    pid = int(begun.read_text())
    wait_for(lambda: procfs.started(pid) is None, "what the hook began to end")
    assert gone(box, name)
