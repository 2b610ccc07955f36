"""Paths of the caller in a directory that another user writes to: no file there redirects pyrunc to the host's files."""

import os
import subprocess
from pathlib import Path

import pytest

from harness import PYRUNC, Box


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def test_the_pid_file_s_temporary_cannot_be_guessed(box: Box, victim: Path, tmp_path: Path) -> None:
    """Links at all names that were once possible: the pid file's name followed by the pid of a future process."""
    shared = tmp_path / "shared"
    shared.mkdir()
    bundle = box.bundle("true")
    last = int(subprocess.check_output(["sh", "-c", "echo $$"]))
    for pid in range(last, last + 500):
        (shared / f".pid.{pid}").symlink_to(victim)
    (shared / "pid").symlink_to(victim)
    quiet = {"capture_output": False, "stdout": subprocess.DEVNULL}
    box.ok("run", "-d", "-b", str(bundle), "--pid-file", str(shared / "pid"), box.new_id(), **quiet)
    assert victim.read_text() == "precious"
    assert (shared / "pid").read_text().isdigit() and not (shared / "pid").is_symlink()


@pytest.mark.parametrize("option", ["--trace", "--log"])
def test_what_else_is_written_follows_no_link(box: Box, victim: Path, tmp_path: Path, option: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(victim)
    name = box.new_id()
    words = ["run", "-b", str(box.bundle("true")), name]
    words[1:1] = [option, str(link)] if option == "--trace" else []
    done = box.call(*([option, str(link)] if option == "--log" else []), *words)
    assert victim.read_text() == "precious"
    if option == "--log":
        assert done.returncode == 1 and done.stderr == f"pyrunc: --log {link}: too many levels of symbolic links\n"
    else:
        assert done.returncode == 0 and not link.is_symlink() and link.read_text().startswith("[")


def test_the_checkpoint_directory_is_no_link(box: Box, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "image"
    link.symlink_to(tmp_path / "elsewhere")
    name = box.start("sleep 100")
    done = box.call("checkpoint", "--image-path", str(link), name)
    assert done.returncode == 1 and os.listdir(tmp_path / "elsewhere") == []


def test_devices_are_written_to_and_not_replaced(box: Box) -> None:
    """Otherwise `--pid-file /dev/null` would replace the device by a file, for the whole host."""
    before = os.stat("/dev/null")
    box.ok("run", "--pid-file", "/dev/null", "--trace", "/dev/null", "-b", str(box.bundle("true")), box.new_id())
    assert os.stat("/dev/null").st_rdev == before.st_rdev
    done = subprocess.run(
        [
            PYRUNC,
            "--root",
            str(box.root),
            "run",
            "--pid-file",
            "/dev/stdout",
            "-b",
            str(box.bundle("true")),
            box.new_id(),
        ],
        capture_output=True,
        check=True,
    )
    assert done.stdout.isdigit()


def test_a_pid_file_of_another_container_stays(box: Box, tmp_path: Path) -> None:
    """A container whose creation failed removes only files that it has written."""
    pid_file = tmp_path / "pid"
    pid_file.write_text("1")
    bundle = box.bundle("true", lambda config: config["process"].update(args=["/nowhere"]))
    done = box.call("run", "--pid-file", str(pid_file), "-b", str(bundle), box.new_id())
    assert done.returncode == 1 and pid_file.exists()
    done = box.call("create", "--pid-file", str(pid_file), "-b", str(bundle), "../id")
    assert done.returncode == 1 and pid_file.exists()
